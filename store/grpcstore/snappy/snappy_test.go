package snappy_test

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"math/rand"
	"strings"
	"sync"
	"testing"
	"testing/iotest"

	"github.com/efficientgo/core/testutil"
	"github.com/klauspost/compress/s2"
	stock "github.com/klauspost/compress/snappy"
	"go.uber.org/goleak"
	"google.golang.org/grpc/encoding"

	"github.com/thanoskit/thanoskit/store/grpcstore/snappy"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// inputs are compressible, not compressible, and around the sizes of a block.
func inputs() map[string][]byte {
	r := rand.New(rand.NewSource(1))
	noise := make([]byte, 300_000)
	r.Read(noise)
	text := []byte(strings.Repeat(`http_requests_total{cluster="prod-eu-west-1",job="api"} `, 20_000))
	in := map[string][]byte{"empty": nil, "one byte": {7}, "noise": noise, "text": text, "large": bytes.Repeat(text, 5)}
	for _, n := range []int{1<<16 - 1, 1 << 16, 1<<16 + 1, 1<<17 + 5} {
		in[fmt.Sprint(n, " of text")] = text[:n]
		in[fmt.Sprint(n, " of noise")] = noise[:n]
	}
	return in
}

func compress(t testing.TB, b []byte, pieces int) []byte {
	t.Helper()
	var out bytes.Buffer
	w, err := encoding.GetCompressor(snappy.Name).Compress(&out)
	testutil.Ok(t, err)
	for n := max(1, (len(b)+pieces-1)/pieces); len(b) > 0; {
		k, err := w.Write(b[:min(n, len(b))])
		testutil.Ok(t, err)
		b = b[k:]
	}
	testutil.Ok(t, w.Close())
	return out.Bytes()
}

func decompress(b []byte) ([]byte, error) {
	r, err := encoding.GetCompressor(snappy.Name).Decompress(bytes.NewReader(b))
	if err != nil {
		return nil, err
	}
	return io.ReadAll(r)
}

func TestRoundTripAndPeers(t *testing.T) {
	for name, in := range inputs() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			for _, pieces := range []int{1, 2, 7, 1000} {
				b := compress(t, in, pieces)
				got, err := decompress(b)
				testutil.Ok(t, err)
				testutil.Assert(t, bytes.Equal(in, got), "own reader")
				got, err = io.ReadAll(stock.NewReader(bytes.NewReader(b)))
				testutil.Ok(t, err)
				testutil.Assert(t, bytes.Equal(in, got), "reader of the format")
			}
			// What Thanos writes.
			var out bytes.Buffer
			w := stock.NewBufferedWriter(&out)
			_, err := w.Write(in)
			testutil.Ok(t, err)
			testutil.Ok(t, w.Close())
			got, err := decompress(out.Bytes())
			testutil.Ok(t, err)
			testutil.Assert(t, bytes.Equal(in, got), "peer's writer")
		})
	}
}

func TestWritesArePieces(t *testing.T) {
	noise := inputs()["noise"]
	w, err := encoding.GetCompressor(snappy.Name).Compress(writerFunc(func(p []byte) (int, error) {
		testutil.Assert(t, len(p) <= 32<<10, "a write of %d bytes", len(p))
		return len(p), nil
	}))
	testutil.Ok(t, err)
	_, err = w.Write(noise)
	testutil.Ok(t, err)
	testutil.Ok(t, w.Close())
}

func TestCorruptInput(t *testing.T) {
	good := compress(t, inputs()["65537 of text"], 1)
	flipped := bytes.Clone(good)
	flipped[len(flipped)/2] ^= 0xff
	for name, b := range map[string][]byte{
		"truncated":          good[:len(good)-1],
		"flipped":            flipped,
		"no identifier":      good[10:],
		"not snappy":         []byte("hello, I am not snappy"),
		"block too large":    append([]byte("\xff\x06\x00\x00sNaPpY\x00\x08\x00\x00abcd"), 0xff, 0xff, 0xff, 0x0f),
		"checksum cut short": []byte("\xff\x06\x00\x00sNaPpY\x01\x02\x00\x00ab"),
	} {
		_, err := decompress(b)
		testutil.Assert(t, err != nil && !errors.Is(err, io.EOF), "%s: %v", name, err)
		// Nothing of it is seen by the next message.
		got, err := decompress(good)
		testutil.Ok(t, err)
		testutil.Equals(t, 1<<16+1, len(got))
	}
}

func TestReadAfterTheEnd(t *testing.T) {
	r, err := encoding.GetCompressor(snappy.Name).Decompress(bytes.NewReader(compress(t, []byte("a"), 1)))
	testutil.Ok(t, err)
	_, err = io.ReadAll(r)
	testutil.Ok(t, err)
	n, err := r.Read(make([]byte, 1))
	testutil.Equals(t, 0, n)
	testutil.Equals(t, io.EOF, err)
}

func TestWriteErrorIsReturned(t *testing.T) {
	full := errors.New("full")
	for name, in := range inputs() {
		if len(in) == 0 {
			continue
		}
		w, err := encoding.GetCompressor(snappy.Name).Compress(writerFunc(func([]byte) (int, error) { return 0, full }))
		testutil.Ok(t, err)
		_, err = w.Write(in)
		if cerr := w.Close(); err == nil {
			err = cerr
		}
		testutil.Assert(t, errors.Is(err, full), "%s: %v", name, err)
	}
}

func TestReadErrorIsReturned(t *testing.T) {
	r, err := encoding.GetCompressor(snappy.Name).Decompress(iotest.ErrReader(io.ErrNoProgress))
	testutil.Ok(t, err)
	_, err = io.ReadAll(r)
	testutil.Assert(t, errors.Is(err, io.ErrNoProgress), "%v", err)
}

func TestConcurrentUse(t *testing.T) {
	in := inputs()["131077 of text"]
	var wg sync.WaitGroup
	for g := range 8 {
		wg.Go(func() {
			for i := range 50 {
				want := in[g*i:]
				got, err := decompress(compress(t, want, 3))
				testutil.Ok(t, err)
				testutil.Assert(t, bytes.Equal(want, got))
			}
		})
	}
	wg.Wait()
}

type writerFunc func([]byte) (int, error)

func (f writerFunc) Write(p []byte) (int, error) { return f(p) }

// Example shows what importing the package does.
func Example() {
	fmt.Println(encoding.GetCompressor(snappy.Name).Name())
	// Output: snappy
}

func FuzzDecompress(f *testing.F) {
	f.Add(compress(f, []byte("hello hello hello hello hello"), 1))
	f.Fuzz(func(t *testing.T, b []byte) {
		out, err := decompress(b)
		if err != nil {
			return
		}
		again, err := decompress(compress(t, out, 2))
		testutil.Ok(t, err)
		testutil.Assert(t, bytes.Equal(out, again))
	})
}

func BenchmarkCompress(b *testing.B) {
	for _, size := range []int{800, 50_000} {
		in := inputs()["text"][:size]
		b.Run(fmt.Sprint(size), func(b *testing.B) {
			c := encoding.GetCompressor(snappy.Name)
			b.ReportAllocs()
			b.SetBytes(int64(size))
			for b.Loop() {
				w, _ := c.Compress(io.Discard)
				w.Write(in)
				w.Close()
			}
		})
		b.Run(fmt.Sprint(size, "/s2.Writer"), func(b *testing.B) {
			w := s2.NewWriter(nil, s2.WriterSnappyCompat(), s2.WriterConcurrency(1))
			b.ReportAllocs()
			b.SetBytes(int64(size))
			for b.Loop() {
				w.Reset(io.Discard)
				w.Write(in)
				w.Close()
			}
		})
	}
}
