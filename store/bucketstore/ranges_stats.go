package bucketstore

import (
	"sync/atomic"
	"time"
)

// dataKind is what bytes of a block are.
type dataKind uint8

const (
	kindPostings dataKind = iota
	kindSeries
	kindChunks
	numKinds
)

// String returns the kind as metrics and hints name it.
func (k dataKind) String() string {
	return [numKinds]string{"postings", "series", "chunks"}[k]
}

// callStats is what one call took. A nil one counts nothing.
//
// Concurrency: safe.
type callStats struct {
	kinds [numKinds]kindStats
	// hedges and retries are among the requests.
	hedges, retries atomic.Int64
	// refetches are series entries of which too little was read at first.
	refetches atomic.Int64
	// lazyBytes are those of postings that were not fetched, because the matchers
	// are tested on the series' labels instead.
	lazyBytes atomic.Int64
}

// kindStats is what one call took of one kind of data.
type kindStats struct {
	requests     atomic.Int64 // To the bucket.
	fetched      atomic.Int64 // Items: lists, series or chunk ranges from the bucket.
	fetchedBytes atomic.Int64 // From the bucket, with what lies between items.
	touched      atomic.Int64 // Items, wherever they were from.
	touchedBytes atomic.Int64
	cacheKeys    atomic.Int64 // Looked up in the cache,
	cacheHits    atomic.Int64 // and found sound.
	waited       atomic.Int64 // Nanoseconds of requests, summed over concurrent ones.
}

// request counts a request to the bucket that has ended.
func (st *callStats) request(k dataKind, bytes int64, took time.Duration) {
	if st == nil {
		return
	}
	s := &st.kinds[k]
	s.requests.Add(1)
	s.fetchedBytes.Add(bytes)
	s.waited.Add(int64(took))
}

// fetch counts items that were read from the bucket.
func (st *callStats) fetch(k dataKind, items int) {
	if st != nil {
		st.kinds[k].fetched.Add(int64(items))
	}
}

// touch counts an item that a call used, wherever it was from.
func (st *callStats) touch(k dataKind, bytes int64) {
	if st == nil {
		return
	}
	st.kinds[k].touched.Add(1)
	st.kinds[k].touchedBytes.Add(bytes)
}

// cache counts keys that were looked up, and those that were found.
func (st *callStats) cache(k dataKind, keys, hits int) {
	if st == nil {
		return
	}
	st.kinds[k].cacheKeys.Add(int64(keys))
	st.kinds[k].cacheHits.Add(int64(hits))
}

// addRefetches counts series entries of which too little was read at first.
func (st *callStats) addRefetches(n int) {
	if st != nil {
		st.refetches.Add(int64(n))
	}
}

// addHedge and addRetry count a request that was sent beside, or after, another
// one for the same range.
func (st *callStats) addHedge() {
	if st != nil {
		st.hedges.Add(1)
	}
}

func (st *callStats) addRetry() {
	if st != nil {
		st.retries.Add(1)
	}
}
