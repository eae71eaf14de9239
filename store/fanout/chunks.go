package fanout

import (
	"github.com/thanoskit/thanoskit/internal/encoded"
	"github.com/thanoskit/thanoskit/internal/wire"
)

func sameChunks(a, b []encoded.Chunk) bool {
	if len(a) != len(b) {
		return false
	}
	for i := range a {
		if !wire.SameChunk(&a[i], &b[i]) {
			return false
		}
	}
	return true
}
