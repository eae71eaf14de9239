package block_test

import (
	"context"
	"encoding/binary"
	"errors"
	"hash/crc32"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/efficientgo/core/testutil"
	"github.com/prometheus/prometheus/model/labels"

	"github.com/thanoskit/thanoskit/block"
	"github.com/thanoskit/thanoskit/block/blocktest"
)

// smallBlock has two series of two chunks each.
func smallBlock(t testing.TB) string {
	t.Helper()
	series := []block.Series{{Labels: labels.FromStrings("__name__", "a", "x", "1")}, {Labels: labels.FromStrings("__name__", "b", "x", "2")}}
	for i := range series {
		series[i].Chunks = blocktest.Chunks(2, blocktest.Sample{T: 1, F: 1}, blocktest.Sample{T: 2, F: 2}, blocktest.Sample{T: 3, F: 3}, blocktest.Sample{T: 4, F: 4})
	}
	return blocktest.Build(t, t.TempDir(), nil, series...)
}

// patch changes a file of a block in place.
func patch(t testing.TB, dir, file string, f func(b []byte) []byte) {
	t.Helper()
	name := filepath.Join(dir, file)
	b, err := os.ReadFile(name)
	testutil.Ok(t, err)
	testutil.Ok(t, os.Remove(name)) // a reader may have it mapped
	testutil.Ok(t, os.WriteFile(name, f(b), 0o600))
}

// layout is where the sections of a good block's index are.
func layout(t testing.TB, dir string) block.Layout {
	t.Helper()
	r, err := block.Open(dir)
	testutil.Ok(t, err)
	defer func() { testutil.Ok(t, r.Close()) }()
	return r.Layout()
}

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// sign makes the checksum of a section right again.
func sign(b []byte, section uint64) {
	if section > uint64(len(b))-8 {
		return
	}
	size := uint64(binary.BigEndian.Uint32(b[section:]))
	if end := section + 4 + size; end <= uint64(len(b))-4 {
		binary.BigEndian.PutUint32(b[end:], crc32.Checksum(b[section+4:end], castagnoli))
	}
}

// signTOC makes that of the table of contents right again.
func signTOC(b []byte) {
	if toc := len(b) - 52; toc >= 0 {
		binary.BigEndian.PutUint32(b[len(b)-4:], crc32.Checksum(b[toc:len(b)-4], castagnoli))
	}
}

// readAll opens and reads everything, and returns the first error.
func readAll(dir string) (err error) {
	r, err := block.Open(dir)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, r.Close()) }()
	for _, err := range r.All(context.Background()) {
		if err != nil {
			return err
		}
	}
	return nil
}

func TestDamageIsTyped(t *testing.T) {
	t.Parallel()
	at := func(off int, v ...byte) func(b []byte) []byte {
		return func(b []byte) []byte {
			if off < 0 {
				off += len(b)
			}
			copy(b[off:], v)
			return b
		}
	}
	l := layout(t, smallBlock(t))
	firstSeries := int(l.Series+15) / 16 * 16
	for name, tc := range map[string]struct {
		file  string
		patch func(b []byte) []byte
		want  error
		text  string
	}{
		"index version":      {"index", at(4, 3), block.ErrUnsupported, "index version 3"},
		"index version 0":    {"index", at(4, 0), block.ErrUnsupported, "index version 0"},
		"index magic":        {"index", at(0, 1, 2, 3, 4), block.ErrCorrupt, "at 0: magic number 0x1020304"},
		"index empty":        {"index", func(b []byte) []byte { return nil }, block.ErrCorrupt, "ends too early"},
		"index cut":          {"index", func(b []byte) []byte { return b[:len(b)-7] }, block.ErrCorrupt, "TOC"},
		"index cut to head":  {"index", func(b []byte) []byte { return b[:5] }, block.ErrCorrupt, "invalid size"},
		"toc checksum":       {"index", at(-20, 9, 9), block.ErrCorrupt, "checksum"},
		"symbols":            {"index", at(int(l.Symbols)+9, 0xff), block.ErrCorrupt, "symbols: checksum"},
		"series":             {"index", at(firstSeries+2, 0xff), block.ErrCorrupt, "series: checksum"},
		"series length":      {"index", at(firstSeries, 0xff, 0xff, 0xff), block.ErrCorrupt, "series: ends too early"},
		"segment version":    {"chunks/000001", at(4, 2), block.ErrUnsupported, "segment version 2"},
		"segment magic":      {"chunks/000001", at(0, 0), block.ErrCorrupt, "magic number"},
		"segment cut":        {"chunks/000001", func(b []byte) []byte { return b[:len(b)-1] }, block.ErrCorrupt, "the segment ends"},
		"segment header cut": {"chunks/000001", func(b []byte) []byte { return b[:7] }, block.ErrCorrupt, "a header has 8"},
		"segment only head":  {"chunks/000001", func(b []byte) []byte { return b[:8] }, block.ErrCorrupt, "no chunk can be there"},
		"chunk":              {"chunks/000001", at(12, 0xff), block.ErrCorrupt, "at 8: chunk of"},
		"chunk length":       {"chunks/000001", at(8, 0xff, 0xff, 0xff, 0xff, 0xff), block.ErrCorrupt, "no length of a chunk"},
		"chunk encoding": {"chunks/000001", func(b []byte) []byte {
			b[9] = 9
			end := 10 + int(b[8])
			binary.BigEndian.PutUint32(b[end:], crc32.Checksum(b[9:end], castagnoli))
			return b
		}, block.ErrUnsupported, "chunk encoding 9 at 8"},
		"symbols unsorted": {"index", func(b []byte) []byte {
			// "1", "2", "__name__", "a"...
			b[l.Symbols+9], b[l.Symbols+11] = '2', '1'
			sign(b, l.Symbols)
			return b
		}, block.ErrCorrupt, `symbols do not ascend: "1" follows "2"`},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir := smallBlock(t)
			patch(t, dir, tc.file, tc.patch)
			err := readAll(dir)
			testutil.Assert(t, errors.Is(err, tc.want), "%v", err)
			testutil.Assert(t, strings.Contains(err.Error(), tc.text), "%q is not in %v", tc.text, err)
			testutil.Assert(t, strings.Contains(err.Error(), filepath.Base(dir)) && strings.Contains(err.Error(), tc.file), "%v", err)

			report, err := block.Verify(context.Background(), dir, nil)
			testutil.Ok(t, err)
			testutil.Assert(t, report.Unreadable(), "%s", report)
			testutil.Assert(t, errors.Is(report.Err(), tc.want), "%s", report)
		})
	}
}

func TestMissingFiles(t *testing.T) {
	t.Parallel()
	for _, file := range []string{"meta.json", "index", "chunks/000001", "chunks"} {
		dir := smallBlock(t)
		testutil.Ok(t, os.RemoveAll(filepath.Join(dir, file)))
		err := readAll(dir)
		testutil.Assert(t, errors.Is(err, os.ErrNotExist) || errors.Is(err, block.ErrCorrupt), "%s: %v", file, err)
		report, err := block.Verify(context.Background(), dir, nil)
		testutil.Ok(t, err)
		testutil.Assert(t, report.Unreadable() && report.Count(block.MissingFile) > 0, "%s: %s", file, report)
	}
	_, err := block.Verify(context.Background(), filepath.Join(t.TempDir(), "nowhere"), nil)
	testutil.Assert(t, errors.Is(err, os.ErrNotExist), "%v", err)
}

// TestSegmentInTheMiddle: what is in the segments that are there can be read.
func TestSegmentInTheMiddle(t *testing.T) {
	t.Parallel()
	for _, named := range []bool{true, false} {
		dir := blocktest.Build(t, t.TempDir(), &blocktest.Options{SegmentSize: 4000}, blocktest.Random(1, nil)...)
		m, err := block.ReadMeta(dir)
		testutil.Ok(t, err)
		testutil.Assert(t, len(m.Thanos.SegmentFiles) > 4, "%v", m.Thanos.SegmentFiles)
		if !named {
			m.Thanos.SegmentFiles, m.Thanos.Files = nil, nil
			testutil.Ok(t, block.WriteMeta(dir, m))
		}
		testutil.Ok(t, os.Remove(filepath.Join(dir, "chunks", "000002")))
		r, err := block.Open(dir)
		testutil.Ok(t, err)
		read, lost := 0, 0
		for it := r.Series(); it.Next(); {
			for _, c := range it.Chunks() {
				_, err := r.Chunk(c)
				if c.Ref.Segment() != 1 {
					testutil.Ok(t, err)
					read++
					continue
				}
				testutil.Assert(t, errors.Is(err, block.ErrCorrupt) && strings.Contains(err.Error(), "chunks/000002 is corrupt: missing"), "%v", err)
				lost++
			}
		}
		testutil.Ok(t, r.Close())
		testutil.Assert(t, read > lost && lost > 0, "%d chunks read, %d lost", read, lost)
		report, err := block.Verify(context.Background(), dir, nil)
		testutil.Ok(t, err)
		testutil.Equals(t, 1, report.Count(block.MissingFile))
	}
}

// fuzzBlock writes a block whose file was changed, and does all that can be done
// with it: whatever is in there, nothing may panic, and what fails is typed.
func fuzzBlock(t *testing.T, good, file string, b []byte) {
	dir := filepath.Join(t.TempDir(), filepath.Base(good))
	testutil.Ok(t, os.CopyFS(dir, os.DirFS(good)))
	patch(t, dir, file, func([]byte) []byte { return b })
	if err := readAll(dir); err != nil && !errors.Is(err, block.ErrCorrupt) && !errors.Is(err, block.ErrUnsupported) {
		t.Fatalf("error of no type: %v", err)
	}
	if _, err := block.Verify(context.Background(), dir, nil); err != nil {
		t.Fatal(err)
	}
}

func FuzzIndex(f *testing.F) {
	good := smallBlock(f)
	b, err := os.ReadFile(filepath.Join(good, "index"))
	testutil.Ok(f, err)
	l := layout(f, good)
	for _, off := range []uint64{4, l.Symbols, l.Symbols + 4, l.Series + 16, l.Postings, l.PostingsTable, uint64(len(b)) - 40} {
		f.Add(uint16(off), []byte{0xff, 0xff, 0xff, 0xff})
		f.Add(uint16(off), []byte{0, 0, 0, 1})
	}
	f.Fuzz(func(t *testing.T, off uint16, with []byte) {
		c := append([]byte(nil), b...)
		copy(c[int(off)%len(c):], with)
		// Checksums keep nobody from writing what he likes.
		sign(c, l.Symbols)
		sign(c, l.PostingsTable)
		for at := (l.Series + 15) / 16 * 16; at < l.LabelIndices; at += 16 {
			size, n := binary.Uvarint(b[at:])
			if end := at + uint64(n) + size; size > 0 && end+4 <= l.LabelIndices {
				binary.BigEndian.PutUint32(c[end:], crc32.Checksum(c[at+uint64(n):end], castagnoli))
				at = (end + 4 + 15) / 16 * 16
				at -= 16
			}
		}
		for at := (l.Postings + 3) / 4 * 4; at < l.PostingsTable; {
			sign(c, at)
			at = (at + 8 + uint64(binary.BigEndian.Uint32(b[at:])) + 3) / 4 * 4
		}
		signTOC(c)
		fuzzBlock(t, good, "index", c)
	})
}

func FuzzIndexV1(f *testing.F) {
	b, err := os.ReadFile(filepath.Join(blockV1, "index"))
	testutil.Ok(f, err)
	f.Add(uint16(600), []byte{0xff, 0xff, 0xff})
	f.Fuzz(func(t *testing.T, off uint16, with []byte) {
		c := append([]byte(nil), b...)
		copy(c[int(off)%len(c):], with)
		sign(c, 5)
		signTOC(c)
		fuzzBlock(t, blockV1, "index", c)
	})
}

func FuzzChunks(f *testing.F) {
	aggregates := blocktest.Downsample(block.FiveMinutes, blocktest.Floats(labels.FromStrings("a", "b"), 0, 100_000, 1, 2, 3, 4))
	histograms := blocktest.Random(1, &blocktest.RandomOptions{Series: 10, Samples: 4})
	for i, s := range append(aggregates, histograms...) {
		for _, c := range s.Chunks {
			f.Add(byte(c.Encoding), c.Data)
			f.Add(byte(i), c.Data)
		}
	}
	good := smallBlock(f)
	b, err := os.ReadFile(filepath.Join(good, "chunks", "000001"))
	testutil.Ok(f, err)
	f.Fuzz(func(t *testing.T, encoding byte, data []byte) {
		if len(data) > 1<<12 {
			return
		}
		c := binary.AppendUvarint(append([]byte(nil), b[:8]...), uint64(len(data)))
		n := len(c)
		c = append(append(c, encoding), data...)
		c = binary.BigEndian.AppendUint32(c, crc32.Checksum(c[n:], castagnoli))
		fuzzBlock(t, good, "chunks/000001", c)
	})
}
