package blocktest

import (
	"errors"
	"io"
	"sync/atomic"
	"time"
)

// Latency is a [Bucket.Delay] that is the same for every request.
func Latency(d time.Duration) func(Request) time.Duration {
	return func(Request) time.Duration { return d }
}

// EveryNth is a [Bucket.Fail] that fails the n-th, 2n-th... of the requests it
// sees, steps aside, with err. n is at least 1.
func EveryNth(n int64, err error) func(Request) error {
	var seen atomic.Int64
	return func(r Request) error {
		if r.Op != OpStep && seen.Add(1)%n == 0 {
			return err
		}
		return nil
	}
}

// Deny is a [Bucket.Fail] that answers [ErrAccessDenied] to the requests that
// match, and to all if match is nil.
func Deny(match func(Request) bool) func(Request) error {
	return func(r Request) error {
		if r.Op != OpStep && (match == nil || match(r)) {
			return ErrAccessDenied
		}
		return nil
	}
}

// Truncated is a [Bucket.Body] that ends bodies after keep bytes as if there were
// no more.
func Truncated(keep int64) func(Request, io.Reader) io.Reader {
	return func(_ Request, r io.Reader) io.Reader { return io.LimitReader(r, keep) }
}

// Broken is a [Bucket.Body] in which bodies that are longer than keep bytes break
// off after them with err.
func Broken(keep int64, err error) func(Request, io.Reader) io.Reader {
	return func(_ Request, r io.Reader) io.Reader { return &broken{r: r, left: keep, err: err} }
}

type broken struct {
	r    io.Reader
	left int64
	err  error
}

func (b *broken) Read(p []byte) (int, error) {
	if b.left == 0 {
		// Whether there would have been more is for the reader beneath to say.
		n, err := b.r.Read(make([]byte, 1))
		if n == 0 && errors.Is(err, io.EOF) {
			return 0, io.EOF
		}
		return 0, b.err
	}
	n, err := b.r.Read(p[:min(int64(len(p)), b.left)])
	b.left -= int64(n)
	return n, err
}
