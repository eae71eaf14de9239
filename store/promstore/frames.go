package promstore

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"unicode"
	"unicode/utf8"

	"github.com/thanoskit/thanoskit/internal/remoteproto"
	"github.com/thanoskit/thanoskit/store"
)

const (
	// trustedFrameBytes is the size that a frame may claim to have and be given
	// memory for before it arrives.
	trustedFrameBytes = 1 << 20
	// firstRunBytes is how much is gathered for the first run of frames, so that
	// small answers and the beginnings of large ones do not wait. It doubles
	// with each run up to arenaSize.
	firstRunBytes = 4 << 10
	// maxExcerpt is the number of bytes of a foreign stream that an error shows.
	maxExcerpt = 256
	// maxEmptyReads is how often a reader may return nothing.
	maxEmptyReads = 100
)

// frameReader reads the frames of a streamed remote read. The bodies of frames
// are parsed where they arrive, in the memory of an arena; a run of frames and
// its arena are handed on together.
//
// Source: ChunkedWriter in Prometheus' storage/remote/chunked.go. A frame is
// the uvarint length of its body, the body's big-endian CRC-32 (Castagnoli) and
// the body.
type frameReader struct {
	r    io.Reader
	pool *arenaPool
	crc  *crc32.Table
	// parse takes the body of a frame, adding to the arena that it is in. It
	// returns io.EOF if it wants no more.
	parse func(*arena, []byte) error

	a      *arena
	pos    int // of the first byte in a.buf that is not parsed
	end    int // of what has arrived
	need   int // bytes of the frame at pos, 0 if not known
	run    int // bytes to gather before a run is handed on
	eof    bool
	frames int
}

func newFrameReader(r io.Reader, pool *arenaPool, parse func(*arena, []byte) error) *frameReader {
	return &frameReader{
		r: r, pool: pool, parse: parse, run: firstRunBytes,
		crc: remoteproto.NewCRC(), a: pool.get(arenaSize),
	}
}

// next returns the next arena with series; the caller owns the reference. The
// error is io.EOF after the last.
func (f *frameReader) next() (*arena, error) {
	for {
		if err := f.parseFrames(); err != nil {
			return nil, err
		}
		switch {
		case len(f.a.frame.Series) > 0 && (f.eof || f.end >= f.run):
			return f.take(), nil
		case f.eof && f.pos < f.end:
			return nil, f.malformed("stream ends within a frame")
		case f.eof:
			return nil, io.EOF
		}
		if err := f.fill(); err != nil {
			return nil, err
		}
	}
}

// release gives up what was not handed on.
func (f *frameReader) release() { f.a.frame.Release() }

// parseFrames parses the frames that have arrived whole.
func (f *frameReader) parseFrames() error {
	for f.pos < f.end {
		rest := f.a.buf[f.pos:f.end]
		size, n := binary.Uvarint(rest)
		switch {
		case n == 0 && len(rest) < binary.MaxVarintLen64:
			return nil
		case n <= 0:
			return f.malformed("frame length overflows")
		case size > remoteproto.MaxFrameBytes:
			return f.malformed(fmt.Sprintf("frame of %d bytes", size))
		}
		f.need = n + crc32.Size + int(size)
		if len(rest) < f.need {
			return nil
		}
		body := rest[n+crc32.Size : f.need]
		if crc32.Checksum(body, f.crc) != binary.BigEndian.Uint32(rest[n:]) {
			return f.malformed("frame does not match its checksum")
		}
		f.pos, f.need = f.pos+f.need, 0
		f.frames++
		if err := f.parse(f.a, body); errors.Is(err, io.EOF) {
			f.eof, f.end = true, f.pos
		} else if err != nil {
			return err
		}
	}
	return nil
}

// take returns the arena and goes on in another, with the beginning of the next
// frame if it has arrived.
func (f *frameReader) take() *arena {
	full := f.a
	full.frame.Size = full.size()
	rest := full.buf[f.pos:f.end]
	f.a = f.pool.get(max(arenaSize, 2*len(rest)))
	f.pos, f.end = 0, copy(f.a.buf, rest)
	f.run = min(2*f.run, arenaSize)
	return full
}

// fill reads more, making room if there is none.
func (f *frameReader) fill() error {
	to := f.run
	if f.end >= to {
		f.makeRoom()
		to = len(f.a.buf)
	}
	for range maxEmptyReads {
		n, err := f.r.Read(f.a.buf[f.end:to])
		f.end += n
		switch {
		case errors.Is(err, io.EOF):
			f.eof = true
			return nil
		case err != nil:
			return err
		case n > 0:
			return nil
		}
	}
	return io.ErrNoProgress
}

// makeRoom makes the buffer larger than what has arrived and is not parsed.
// Nothing points into it: a run that has series would have been taken.
func (f *frameReader) makeRoom() {
	rest := f.a.buf[f.pos:f.end]
	want := 2 * len(rest)
	if f.need <= trustedFrameBytes {
		want = max(want, f.need)
	} else {
		want = min(want, f.need)
	}
	buf := f.a.buf
	if len(buf) < want {
		buf = make([]byte, want)
	}
	f.pos, f.end = 0, copy(buf, rest)
	f.a.buf = buf
}

// malformed says what is wrong with the stream. Prometheus writes what goes
// wrong on its side after the first frame as text into the stream: if text is
// what follows, it is shown.
func (f *frameReader) malformed(what string) error {
	text := f.a.buf[f.pos:min(f.end, f.pos+maxExcerpt)]
	if !isText(text) {
		return fmt.Errorf("%w: %s", store.ErrMalformed, what)
	}
	return fmt.Errorf("%w: %s, which reads %q", store.ErrMalformed, what, bytes.TrimSpace(text))
}

func isText(b []byte) bool {
	for len(b) > 0 {
		r, n := utf8.DecodeRune(b)
		if (r == utf8.RuneError && utf8.FullRune(b)) || (!unicode.IsPrint(r) && !unicode.IsSpace(r)) {
			return false
		}
		b = b[n:]
	}
	return true
}
