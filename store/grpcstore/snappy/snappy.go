package snappy

import (
	"errors"
	"io"
	"sync"

	"github.com/klauspost/compress/s2"
	"google.golang.org/grpc/encoding"
)

// Name is the compressor's name in gRPC's table and on the wire.
const Name = "snappy"

func init() { encoding.RegisterCompressor(new(compressor)) }

// compressor is safe for concurrent use.
type compressor struct{ writers, readers sync.Pool }

// Name returns the constant of the same name.
func (*compressor) Name() string { return Name }

// Compress returns a writer that goes back to the pool when it is closed.
func (c *compressor) Compress(w io.Writer) (io.WriteCloser, error) {
	e, ok := c.writers.Get().(*encoder)
	if !ok {
		e = newEncoder()
	}
	e.reset(w)
	return &writer{e, &c.writers}, nil
}

// Decompress returns a reader that goes back to the pool at the end of r. After
// any other error it is dropped.
func (c *compressor) Decompress(r io.Reader) (io.Reader, error) {
	d, ok := c.readers.Get().(*s2.Reader)
	if !ok {
		d = s2.NewReader(nil, s2.ReaderMaxBlockSize(blockSize))
	}
	d.Reset(r)
	return &reader{d, &c.readers}, nil
}

// writer is the use of an encoder for one message.
type writer struct {
	*encoder
	pool *sync.Pool
}

// Close writes what is left. The writer is not to be used after it.
func (w *writer) Close() error {
	err := w.flush()
	w.reset(nil)
	w.pool.Put(w.encoder)
	w.encoder = nil
	return err
}

// reader is the use of a decoder for one message.
type reader struct {
	s2   *s2.Reader // nil after the end
	pool *sync.Pool
}

// Read reads decompressed data.
func (r *reader) Read(p []byte) (int, error) {
	if r.s2 == nil {
		return 0, io.EOF
	}
	n, err := r.s2.Read(p)
	if errors.Is(err, io.EOF) {
		r.s2.Reset(nil)
		r.pool.Put(r.s2)
		r.s2 = nil
	}
	return n, err
}
