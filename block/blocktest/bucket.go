package blocktest

import (
	"errors"
	"fmt"
	"io"
	"sync"
	"time"

	"github.com/thanos-io/objstore"
)

// What a Bucket says where things go wrong by its own doing.
var (
	// ErrDead is what everything answers once a cut has come: the process is dead
	// and does nothing more.
	ErrDead = errors.New("process is dead")
	// ErrHidden is how an object is not found that is hidden. The Bucket's
	// IsObjNotFoundErr says yes to it.
	ErrHidden = errors.New("object is hidden")
	// ErrAccessDenied is what [Deny] answers. The Bucket's IsAccessDeniedErr says
	// yes to it.
	ErrAccessDenied = errors.New("access denied")
	// ErrFault is an error like any other, for [Bucket.Fail] and [EveryNth].
	ErrFault = errors.New("injected fault")
)

// OpStep is the operation of a request that is none: a step taken outside of the
// bucket, see [Bucket.Step]. The others are named by objstore: OpIter, OpGet,
// OpGetRange, OpExists, OpUpload, OpDelete and OpAttributes.
const OpStep = "step"

// listPage is how many entries a request for a listing brings, as in S3.
const listPage = 1000

// Request is one operation on a [Bucket], or one step beside it.
type Request struct {
	N    int    // From 1, in the order in which they began, since the Bucket was made.
	Op   string // Of objstore, or OpStep.
	Name string // Of the object, the directory, or the step.

	// What OpGetRange asks for, in bytes; Length is -1 for all that is left. The
	// other operations have 0 and -1.
	Off, Length int64
}

// String returns the number, the operation and the name, and of OpGetRange the range.
func (r Request) String() string {
	if r.Op == objstore.OpGetRange {
		return fmt.Sprintf("%d %s %s [%d, +%d)", r.N, r.Op, r.Name, r.Off, r.Length)
	}
	return fmt.Sprintf("%d %s %s", r.N, r.Op, r.Name)
}

// Bucket is an objstore.Bucket for tests, over any other. It counts what is asked
// of it and how many answers were waited for one after the other, and is slow,
// fails, tells half, refuses, forgets and dies as it is told.
//
// A listing is as many requests as it has pages of 1000 entries, at least one.
// Unlike objstore's own buckets for tests, it heeds the context: once that has
// ended, neither does a request begin nor a body go on.
//
// It is safe for concurrent use, and so are its settings at any time; a function
// that is set may be called concurrently, without locks held.
type Bucket struct {
	inner objstore.Bucket

	mu     sync.Mutex
	n      int
	bodies int
	log    []Request
	window *window
	delay  func(Request) time.Duration
	fail   func(Request) error
	body   func(Request, io.Reader) io.Reader
	hidden func(name string) bool
	cutAt  int // 0 = never.
	cut    When
	dead   bool
}

var _ objstore.Bucket = (*Bucket)(nil)

// NewBucket makes a Bucket over another, to which it only passes on what is asked
// of it until it is told otherwise. Close closes the inner one.
func NewBucket(inner objstore.Bucket) *Bucket {
	return &Bucket{inner: inner, window: newWindow()}
}

// Delay makes every request wait before it is answered: its latency. nil is none.
// Time is that of package time, so that in a testing/synctest bubble no test
// waits.
func (b *Bucket) Delay(f func(Request) time.Duration) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.delay = f
}

// Fail makes those requests fail for which f returns an error, after their delay
// and without reaching the inner bucket. nil is none. See [EveryNth], [Deny].
func (b *Bucket) Fail(f func(Request) error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.fail = f
}

// Body puts f between the body of each OpGet and OpGetRange and who reads it, to
// cut it short or change it. nil is nothing. See [Truncated], [Broken].
func (b *Bucket) Body(f func(Request, io.Reader) io.Reader) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.body = f
}

// Hide makes objects be listed but not found when they are read, as if deleted in
// between. nil hides none.
func (b *Bucket) Hide(f func(name string) bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.hidden = f
}

// When says what becomes of the request at which the process dies.
type When int

const (
	// Before says that the request is not made.
	Before When = iota
	// Torn says that the request is made by half. Of an upload, the first half of
	// the object is there afterwards, as a filesystem leaves it; of a body, the first
	// half can be read. What has no half is not made. (Object stores leave nothing of
	// half an upload: that is Before.)
	Torn
	// After says that the request is made, but nobody hears of its answer. A step is
	// taken, and is the last.
	After
)

// String returns "before", "torn" or "after".
func (w When) String() string {
	return [...]string{"before", "torn", "after"}[w]
}

// Cut has the process die at its n-th request from now on, n >= 1, steps counted:
// from then on every request, open body and step is refused with [ErrDead]. A
// test that cuts everywhere goes on until a run comes to its end alive:
//
//	for n := 1; ; n++ {
//		bkt := blocktest.NewBucket(objstore.NewInMemBucket())
//		bkt.Cut(n, blocktest.Before)
//		err := upload(bkt)
//		alive := !bkt.Dead()
//		bkt.Revive() // And look at what is left, which would count on towards n.
//		if alive {
//			break
//		}
//	}
//
// Requests that are under way in other goroutines may still reach the inner
// bucket, as those on the wire do.
func (b *Bucket) Cut(n int, when When) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.cutAt, b.cut = b.n+n, when
}

// Dead reports whether the cut has come.
func (b *Bucket) Dead() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.dead
}

// Revive is a new process: it takes back the cut, whether it has come or not.
func (b *Bucket) Revive() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.cutAt, b.dead = 0, false
}

// Step takes part in the numbering of requests with something local: code under
// test calls it, as a hook, before each step whose loss matters, such as a rename,
// and does nothing more when it returns an error. It can be failed as requests can,
// but takes no time and does not count as one in [Stats].
func (b *Bucket) Step(step string) error {
	c, err := b.number(Request{Op: OpStep, Name: step, Length: -1})
	if err != nil {
		return err
	}
	if c.cut == After {
		c.die()
		return nil
	}
	return c.end(c.failure())
}

// Requests returns what was asked, steps among it, since the Bucket was made or
// [Bucket.Reset], in the order in which it began.
func (b *Bucket) Requests() []Request {
	b.mu.Lock()
	defer b.mu.Unlock()
	return append([]Request(nil), b.log...)
}

// OpenBodies returns how many bodies nobody has closed yet.
func (b *Bucket) OpenBodies() int {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.bodies
}

// Unwrap returns the inner bucket, in which nothing is counted and nothing fails.
func (b *Bucket) Unwrap() objstore.Bucket { return b.inner }
