package grpcstore

import (
	"math/bits"
	"sync"
)

// Size classes of a bufferPool: the powers of two from 4 KiB to 4 MiB.
const (
	minClass = 12
	maxClass = 22
)

// bufferPool reuses buffers of similar size. It is a mem.BufferPool, and safe
// for concurrent use. The zero value is ready for use.
//
// gRPC's own pool goes from 32 KiB to 1 MiB in one step, so that a frame of 64
// KiB would keep 1 MiB alive, and it clears what it hands out; the users of this
// one overwrite every byte of what they got before anybody reads it.
type bufferPool struct {
	classes [maxClass - minClass + 1]sync.Pool
}

// Get returns a buffer of length n whose content is arbitrary. One larger than
// the largest class is not pooled.
func (p *bufferPool) Get(n int) *[]byte {
	c := max(bits.Len(uint(max(n, 1)-1)), minClass)
	if c > maxClass {
		b := make([]byte, n)
		return &b
	}
	if b, ok := p.classes[c-minClass].Get().(*[]byte); ok {
		*b = (*b)[:n]
		return b
	}
	b := make([]byte, n, 1<<c)
	return &b
}

// Put takes back a buffer, which may have been grown since.
func (p *bufferPool) Put(b *[]byte) {
	c := bits.Len(uint(cap(*b))) - 1 // rounded down: every buffer of a class has its size
	if c < minClass || c > maxClass {
		return
	}
	p.classes[c-minClass].Put(b)
}
