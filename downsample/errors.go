package downsample

import (
	"errors"
	"fmt"

	"github.com/thanoskit/thanoskit/block"
)

// ErrResolution says that data of one resolution cannot be made into that of
// another: each is made from the next finer one.
var ErrResolution = errors.New("resolution cannot be made from that")

// ChunkError says that a chunk cannot be read. It is a block.ErrUnsupported if its
// encoding is not known here, else a block.ErrCorrupt.
type ChunkError struct {
	// MinTime and MaxTime are the chunk's, in ms.
	MinTime, MaxTime int64
	Err              error
}

// Error returns "chunk of [MIN, MAX]: cause".
func (e *ChunkError) Error() string {
	return fmt.Sprintf("chunk of [%d, %d]: %v", e.MinTime, e.MaxTime, e.Err)
}

// Unwrap returns the cause.
func (e *ChunkError) Unwrap() error { return e.Err }

// Is reports that a ChunkError is a block.ErrCorrupt, unless the encoding of the
// chunk is not known.
func (e *ChunkError) Is(target error) bool {
	return target == block.ErrCorrupt && !errors.Is(e.Err, block.ErrUnsupported)
}

func chunkError(c *block.Chunk, err error) error {
	return &ChunkError{MinTime: c.MinTime, MaxTime: c.MaxTime, Err: err}
}

// errMalformed says that bytes that decode are not what they must be.
var errMalformed = errors.New("malformed chunk")
