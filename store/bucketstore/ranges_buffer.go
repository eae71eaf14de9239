package bucketstore

import (
	"math/bits"
	"sync"
)

// Buffers are pooled by powers of two of their size.
const (
	minBufferBits = 12 // 4 KiB
	maxBufferBits = 24 // 16 MiB; larger ones are left to the garbage collector
)

// bufferPool reuses the buffers that ranges are read into.
//
// Concurrency: safe.
type bufferPool struct {
	pools [maxBufferBits - minBufferBits + 1]sync.Pool
}

// get returns a buffer of n bytes, with anything in it.
func (p *bufferPool) get(n int64) *[]byte {
	i := max(bits.Len64(uint64(max(n, 1)-1)), minBufferBits) - minBufferBits
	if i >= len(p.pools) {
		b := make([]byte, n)
		return &b
	}
	if b, ok := p.pools[i].Get().(*[]byte); ok {
		*b = (*b)[:n]
		return b
	}
	b := make([]byte, n, 1<<(i+minBufferBits))
	return &b
}

// put gives a buffer back that get returned. Nobody may use it any more.
func (p *bufferPool) put(b *[]byte) {
	i := bits.Len64(uint64(cap(*b)-1)) - minBufferBits
	if cap(*b) != 1<<max(i+minBufferBits, 0) || i < 0 || i >= len(p.pools) {
		return
	}
	p.pools[i].Put(b)
}
