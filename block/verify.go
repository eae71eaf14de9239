package block

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"math"
	"os"
	"path/filepath"

	"github.com/oklog/ulid/v2"
	"github.com/thanos-io/objstore"
)

// VerifyDepth says how deep Verify looks.
type VerifyDepth int

// How deep Verify looks, deepest first.
const (
	// VerifySamples decodes all samples.
	VerifySamples VerifyDepth = iota
	// VerifyChecksums reads all chunks but decodes none.
	VerifyChecksums
	// VerifyIndex reads meta.json and index only, as Thanos' tools do.
	VerifyIndex
)

// VerifyOptions say how a block is verified. The zero value, and nil, look at
// everything.
type VerifyOptions struct {
	Depth VerifyDepth
	// Examples is how many errors of each kind the Report has: 3 if 0.
	Examples int
}

// Verify reads a block on disk from front to back and reports all that is wrong
// with it: a damaged chunk does not keep it from looking at the next.
//
// Errors: that the block could not be looked at, the context's among them. What
// is wrong with it is in the Report alone; see Report.Err.
// Cost: one pass over index and chunks, one more if meta.json has hashes; memory
// as Open, and a few examples.
//
// Source: the checks of Thanos v0.42.4, pkg/block/index.go, and more: checksums,
// postings, samples, and meta.json against what is there.
func Verify(ctx context.Context, dir string, opts *VerifyOptions) (_ *Report, err error) {
	info, err := os.Stat(dir)
	if err == nil && !info.IsDir() {
		err = fmt.Errorf("%s is no directory", dir)
	}
	if err != nil {
		return nil, fmt.Errorf("verify block: %w", err)
	}
	v := &verifier{ctx: ctx, dir: dir}
	if opts != nil {
		v.opts = *opts
	}
	if v.opts.Examples <= 0 {
		v.opts.Examples = 3
	}
	defer func() { err = errors.Join(err, v.close()) }()
	v.readMeta()
	if err := v.open(); err != nil {
		return nil, fmt.Errorf("verify block %s: %w", v.meta.ULID, err)
	}
	if v.index != nil {
		if err := v.run(); err != nil {
			return nil, fmt.Errorf("verify block %s: %w", v.meta.ULID, err)
		}
		v.compareStats()
	}
	v.report.sort()
	return &v.report, nil
}

// VerifyBucket is Verify of a block in a bucket, which is downloaded into a new
// directory below dir and removed again. A block that Download refuses for what
// is in it has that, and that alone, in its Report.
//
// Errors: ErrNotFound if there is no meta.json, those of the bucket, of Download
// and of Verify.
// Cost: all of the block over the network and on disk.
func VerifyBucket(ctx context.Context, bkt objstore.BucketReader, id ulid.ULID, dir string, opts *VerifyOptions) (_ *Report, err error) {
	if err := os.MkdirAll(dir, 0o750); err != nil {
		return nil, fmt.Errorf("verify block %s: %w", id, err)
	}
	tmp, err := os.MkdirTemp(dir, "verify-")
	if err != nil {
		return nil, fmt.Errorf("verify block %s: %w", id, err)
	}
	defer func() { err = errors.Join(err, os.RemoveAll(tmp)) }()
	local := filepath.Join(tmp, id.String())
	otherwise := CorruptMeta
	if _, err = FetchMeta(ctx, bkt, id); err == nil {
		otherwise = CorruptChunk
		err = Download(ctx, bkt, id, local, nil)
	} else if errors.Is(err, ErrNotFound) {
		return nil, fmt.Errorf("verify block %s: %w", id, err)
	}
	switch {
	case err == nil:
		return Verify(ctx, local, opts)
	case errors.Is(err, ErrCorrupt), errors.Is(err, ErrUnsupported), errors.Is(err, ErrNotFound):
		report := &Report{Block: id}
		if e, ok := errors.AsType[*CorruptError](err); ok && e.File == IndexFile {
			otherwise = CorruptIndex
		}
		report.add(kindOf(err, otherwise), 1, err)
		return report, nil
	}
	return nil, fmt.Errorf("verify block %s: %w", id, err)
}

// verifier is one run of Verify.
type verifier struct {
	ctx    context.Context
	dir    string
	opts   VerifyOptions
	report Report

	meta     *Meta
	noMeta   bool
	index    *indexFile
	segments *segments

	lset     []LabelRef // of the series before
	gatherer indexStatsGatherer
	sums     map[uint32]postingSum // by place of the label's name
	all      postingSum
	decoding sampleDecoder
}

func (v *verifier) add(kind ProblemKind, err error) { v.report.add(kind, v.opts.Examples, err) }

// readMeta reads meta.json, or does without it.
func (v *verifier) readMeta() {
	meta, err := ReadMeta(v.dir)
	if err != nil {
		v.add(kindOf(err, CorruptMeta), err)
		id, _ := ParseID(filepath.Base(v.dir))
		meta, v.noMeta = &Meta{ULID: id, MinTime: math.MinInt64, MaxTime: math.MaxInt64}, true
	}
	v.meta, v.report.Block = meta, meta.ULID
	for _, f := range meta.Thanos.Files {
		v.checkFile(f)
	}
}

// checkFile compares a file with what meta.json says about it.
func (v *verifier) checkFile(f File) {
	info, err := os.Stat(filepath.Join(v.dir, filepath.FromSlash(f.RelPath)))
	switch {
	case errors.Is(err, fs.ErrNotExist):
		v.add(MissingFile, fmt.Errorf("%s: %w", f.RelPath, ErrNotFound))
	case err != nil:
		v.add(WrongFiles, err)
	case f.SizeBytes != 0 && f.SizeBytes != info.Size():
		v.add(WrongFiles, fmt.Errorf("%s has %d bytes, not %d", f.RelPath, info.Size(), f.SizeBytes))
	case f.Hash != nil && f.Hash.Func == HashSHA256 && v.opts.Depth != VerifyIndex:
		v.checkHash(f)
	}
}

// checkHash compares a file's hash with what meta.json says.
func (v *verifier) checkHash(f File) {
	h, err := hashFile(filepath.Join(v.dir, filepath.FromSlash(f.RelPath)), f.Hash.Func)
	switch {
	case err != nil:
		v.add(WrongFiles, err)
	case h.Value != f.Hash.Value:
		v.add(WrongFiles, fmt.Errorf("%s has the SHA256 %s, not %s", f.RelPath, h.Value, f.Hash.Value))
	}
}

// open opens what there is. Its error is that of the system.
func (v *verifier) open() error {
	var err error
	v.index, err = openIndex(filepath.Join(v.dir, IndexFile), v.meta.ULID)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		if _, said := v.meta.File(IndexFile); !said {
			v.add(MissingFile, fmt.Errorf("index: %w", ErrNotFound))
		}
	case errors.Is(err, ErrCorrupt), errors.Is(err, ErrUnsupported):
		v.add(kindOf(err, CorruptIndex), err)
	case err != nil:
		return err
	default:
		v.report.IndexVersion = v.index.version
	}
	if v.opts.Depth == VerifyIndex {
		return nil
	}
	if v.segments, err = openSegments(v.dir, v.meta); err != nil {
		return err
	}
	for _, g := range v.segments.all {
		if g.err == nil {
			continue
		}
		if _, said := v.meta.File(g.file); !said || !errors.Is(g.err, errSegmentMissing) {
			v.add(kindOf(g.err, CorruptChunk), g.err)
		}
	}
	return nil
}

func (v *verifier) close() error {
	var errs []error
	if v.index != nil {
		errs = append(errs, v.index.Close())
	}
	if v.segments != nil {
		errs = append(errs, v.segments.Close())
	}
	return errors.Join(errs...)
}

// compareStats compares meta.json with what there is. A number that is 0 was not
// counted by who wrote it, and of downsampled blocks Thanos leaves the numbers by
// type as the raw block had them.
func (v *verifier) compareStats() {
	if v.noMeta || v.report.Unreadable() {
		return // it is not known what there would be
	}
	said, is := v.meta.Stats, v.report.Stats
	compare := func(name string, said, is uint64) {
		if said != 0 && said != is {
			v.add(WrongStats, fmt.Errorf("%s is %d, not %d", name, is, said))
		}
	}
	compare("numSeries", said.NumSeries, is.NumSeries)
	compare("numChunks", said.NumChunks, is.NumChunks)
	v.compareSize("series_max_size", v.meta.Thanos.IndexStats.SeriesMaxSize, v.report.IndexStats.SeriesMaxSize)
	v.compareSize("chunk_max_size", v.meta.Thanos.IndexStats.ChunkMaxSize, v.report.IndexStats.ChunkMaxSize)
	if v.opts.Depth == VerifyIndex {
		return
	}
	compare("numSamples", said.NumSamples, is.NumSamples)
	if v.meta.Resolution() == Raw {
		compare("numFloatSamples", said.NumFloatSamples, is.NumFloatSamples)
		compare("numHistogramSamples", said.NumHistogramSamples, is.NumHistogramSamples)
	}
}

// compareSize compares a bound: one that is larger than it must be does no harm.
func (v *verifier) compareSize(name string, said, is int64) {
	if said != 0 && said < is {
		v.add(WrongStats, fmt.Errorf("%s is %d, not %d", name, is, said))
	}
}
