package block

import (
	"errors"
	"fmt"
	"io/fs"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/oklog/ulid/v2"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/tsdb/chunks"
	"golang.org/x/sync/errgroup"
)

var (
	// ErrEmpty says that a block would have no series. Nothing reads such a block,
	// and none is written.
	ErrEmpty = errors.New("block has no series")
	// errClosed says that a Writer has written its block, or given it up.
	errClosed = errors.New("writer is closed")
)

// tmpSuffix is that of the directories of blocks that are being written. A
// Prometheus that starts removes such directories.
const tmpSuffix = ".tmp-for-creation"

// WriterOptions say how a block is written. The zero value, and nil, are good.
type WriterOptions struct {
	// SegmentSize is how many bytes a segment of chunks has at most, unless a
	// single chunk has more: 512 MiB if 0, as in Prometheus, and below 4 GiB.
	SegmentSize int64
	// Unchecked writes what is wrong: series and chunks out of order, overlapping
	// or outside of the block's range. It is there to test readers with.
	Unchecked bool

	step          stepFunc
	postingsBatch int
}

// Writer writes a block on disk: first all symbols, then all series in order.
//
//	w, err := block.NewWriter(dir, meta, nil)
//	if err != nil {
//		return err
//	}
//	defer w.Close()
//	for _, s := range symbols { // ascending
//		if err := w.AddSymbol(s); err != nil { ... }
//	}
//	for ... {
//		if err := w.Add(lset, chunks); err != nil { ... }
//	}
//	meta, err = w.Commit()
//
// Everything goes into a directory beside the block's, which is renamed when all
// of it is on disk, so that there is a whole block or none at whichever step a
// process dies. WriteBlock does all of it for what is in memory.
//
// Cost: 4 bytes per series and 8 per symbol, and 32 MiB to sort postings or 8
// bytes per series if that is more; chunks go straight to disk. Adding labels,
// not references, takes a map of all symbols.
//
// Concurrency: not safe.
//
// Source: prometheus/tsdb/docs/format. The index is byte for byte the one that
// Prometheus writes.
type Writer struct {
	meta   *Meta
	opts   WriterOptions
	parent string
	tmp    string

	index    *indexWriter
	segments *segmentWriter
	byName   map[string]uint32

	last     []LabelRef // of the series before
	refs     []LabelRef
	metas    []ChunkMeta
	gatherer indexStatsGatherer
	stats    Stats
	minTime  int64
	maxTime  int64

	err error // what every further call returns
}

// NewWriter begins the block meta.ULID in a directory that holds blocks; it is
// made if it is not there. What a writer of the same block that died has left is
// removed.
//
// Input: meta is copied, but for UploadTime. Version, Stats, Thanos.Version,
// Thanos.IndexStats, Thanos.Files and Thanos.SegmentFiles are filled in by Commit.
// So are, if they are not set, Compaction, as for a block of level 1 that is its
// own source, and the range, as that of the samples: MinTime and MaxTime both 0 is
// not set.
// Errors: fs.ErrExist if the block is there, MetaError, those of the file system.
func NewWriter(dir string, meta *Meta, opts *WriterOptions) (*Writer, error) {
	w := &Writer{meta: newMeta(meta), parent: dir, minTime: math.MaxInt64, maxTime: math.MinInt64}
	if opts != nil {
		w.opts = *opts
		w.opts.step = opts.step.oneAtATime()
	}
	var errs []error
	switch size := w.opts.SegmentSize; {
	case size == 0:
		w.opts.SegmentSize = chunks.DefaultChunkSegmentSize
	case size < 0 || size > math.MaxUint32: // references have 4 bytes
		errs = append(errs, fmt.Errorf("option SegmentSize is %d, not from 0 to %d", size, uint32(math.MaxUint32)))
	}
	w.meta.Version = metaVersion
	if err := errors.Join(append(errs, w.meta.Validate())...); err != nil {
		return nil, fmt.Errorf("write block: %w", err)
	}
	if err := w.start(); err != nil {
		return nil, errors.Join(w.wrap(err), w.drop())
	}
	return w, nil
}

// oneAtATime is s for several goroutines.
func (s stepFunc) oneAtATime() stepFunc {
	if s == nil {
		return nil
	}
	var mu sync.Mutex
	return func(op, file string) error {
		mu.Lock()
		defer mu.Unlock()
		return s(op, file)
	}
}

// newMeta copies what a new block has from a Meta that the caller keeps.
func newMeta(m *Meta) *Meta {
	c := m.Clone()
	c.Stats = Stats{}
	t := &c.Thanos
	t.Files, t.SegmentFiles, t.IndexStats, t.UploadTime = nil, nil, IndexStats{}, time.Time{}
	if t.Labels == nil {
		t.Labels = map[string]string{}
	}
	return c
}

func (w *Writer) start() error {
	final := w.dir()
	if _, err := os.Stat(final); err == nil {
		return fmt.Errorf("%s: %w", final, fs.ErrExist)
	}
	tmp := final + tmpSuffix
	if err := w.opts.step.do("remove", tmp); err != nil {
		return err
	}
	if err := os.RemoveAll(tmp); err != nil {
		return err
	}
	if err := w.opts.step.do("mkdir", tmp); err != nil {
		return err
	}
	if err := os.MkdirAll(tmp, 0o777); err != nil { //nolint:gosec // As Prometheus writes blocks: who may read them is the umask's to say.
		return err
	}
	w.tmp = tmp
	w.segments = &segmentWriter{dir: tmp, size: uint64(w.opts.SegmentSize), step: w.opts.step}
	var err error
	w.index, err = createIndex(tmp, w.opts.step)
	if err == nil && w.opts.postingsBatch > 0 {
		w.index.batch = w.opts.postingsBatch
	}
	return err
}

func (w *Writer) dir() string { return filepath.Join(w.parent, w.meta.ULID.String()) }

func (w *Writer) wrap(err error) error {
	return fmt.Errorf("write block %s: %w", w.meta.ULID, err)
}

// refuse is a SeriesError, or else the end of the Writer.
func (w *Writer) refuse(err error) error {
	if _, ok := errors.AsType[*SeriesError](err); ok {
		return w.wrap(err)
	}
	return w.fail(err)
}

// fail makes an error that leaves a half-written file the end of the Writer.
func (w *Writer) fail(err error) error {
	w.err = w.wrap(err)
	return w.err
}

// AddSymbol adds a label name or value to the table of symbols. Symbols ascend,
// each is there once, and all come before the first series. That a symbol is in
// no series does no harm.
func (w *Writer) AddSymbol(symbol string) error { return w.AddSymbolBytes([]byte(symbol)) }

// AddSymbolBytes is AddSymbol of bytes, which are not kept.
func (w *Writer) AddSymbolBytes(symbol []byte) error {
	if w.err != nil {
		return w.err
	}
	if err := w.index.addSymbol(symbol); err != nil {
		return w.fail(err)
	}
	return nil
}

// Add adds a series, whose names and values are among the symbols.
//
// Input: series ascend by labels; labels are without external labels. Chunks have
// samples, ascend, do not overlap, and lie in the block's range. Nothing of what
// is given is kept.
// Errors: SeriesError for what is out of order, and the Writer goes on without
// the series. Any other error ends the Writer: Add and Commit return it from then
// on.
func (w *Writer) Add(lset labels.Labels, chunks []Chunk) error {
	if err := w.ready(); err != nil {
		return err
	}
	w.refs = w.refs[:0]
	missing := ""
	lset.Range(func(l labels.Label) {
		name, ok := w.byName[l.Name]
		value, okToo := w.byName[l.Value]
		switch {
		case !ok:
			missing = l.Name
		case !okToo:
			missing = l.Value
		}
		w.refs = append(w.refs, LabelRef{Name: name, Value: value})
	})
	if missing != "" {
		return w.fail(fmt.Errorf("series %s: %q is not among the symbols", lset, missing))
	}
	return w.AddRefs(w.refs, chunks)
}

// ready ends the symbols, and makes them known by name.
func (w *Writer) ready() error {
	if err := w.readyForRefs(); err != nil {
		return err
	}
	if w.byName == nil {
		s := w.index.symbols
		w.byName = make(map[string]uint32, s.Len())
		for i := range uint32(s.Len()) {
			w.byName[s.String(i)] = i
		}
	}
	return nil
}

func (w *Writer) readyForRefs() error {
	if w.err != nil {
		return w.err
	}
	if w.index.symbols == nil {
		if err := w.index.finishSymbols(); err != nil {
			return w.fail(err)
		}
	}
	return nil
}

// AddRefs is Add with labels as places in the table of symbols, counted from 0:
// the first symbol added is 0. Nothing is looked up, and chunks with a Record are
// copied as they are.
func (w *Writer) AddRefs(lset []LabelRef, chunks []Chunk) error {
	if err := w.readyForRefs(); err != nil {
		return err
	}
	for _, l := range lset {
		if n := uint32(w.index.symbols.Len()); l.Name >= n || l.Value >= n {
			return w.fail(fmt.Errorf("label with symbols %d and %d of %d", l.Name, l.Value, n))
		}
	}
	if !w.opts.Unchecked {
		if err := w.check(lset, chunks); err != nil {
			return w.wrap(err)
		}
	}
	before := w.stats
	if err := w.count(lset, chunks); err != nil {
		w.stats = before
		return w.refuse(err)
	}
	if err := w.add(lset, chunks); err != nil {
		return w.fail(err)
	}
	return nil
}

func (w *Writer) add(lset []LabelRef, chunks []Chunk) error {
	w.metas = w.metas[:0]
	for i := range chunks {
		c := &chunks[i]
		ref, err := w.segments.write(c)
		if err != nil {
			return err
		}
		w.metas = append(w.metas, ChunkMeta{MinTime: c.MinTime, MaxTime: c.MaxTime, Ref: ref})
		w.minTime, w.maxTime = min(w.minTime, c.MinTime), max(w.maxTime, c.MaxTime)
	}
	off, err := w.index.addSeries(lset, w.metas)
	if err != nil {
		return err
	}
	w.gatherer.add(off, w.metas)
	w.last = append(w.last[:0], lset...)
	return nil
}

// IndexSize returns how many bytes the index will have at least: those of symbols
// and series so far, and of the lists that the series are in. What it grows by
// when the block is committed is the table of these lists, which has an entry for
// each label.
func (w *Writer) IndexSize() int64 {
	if w.tmp == "" {
		return 0
	}
	return int64(w.index.f.pos + 4*w.index.postings)
}

// Commit ends the block and returns its meta.json. From then on the block is
// there, and the Writer is closed.
//
// Errors: ErrEmpty if no series was added. Whatever the error, there is no block.
func (w *Writer) Commit() (*Meta, error) {
	if w.err != nil {
		return nil, errors.Join(w.err, w.drop())
	}
	if err := w.commit(); err != nil {
		return nil, errors.Join(w.fail(err), w.drop())
	}
	w.tmp, w.err = "", w.wrap(errClosed)
	return w.meta, nil
}

func (w *Writer) commit() error {
	if w.stats.NumSeries == 0 {
		return ErrEmpty
	}
	// What takes time is that a disk has what was written, and it takes it as well if
	// it is asked for several files at once.
	var disk errgroup.Group
	err := w.finishFiles(&disk)
	if err := errors.Join(err, disk.Wait()); err != nil {
		return err
	}
	if err := syncPath(w.tmp, w.opts.step); err != nil {
		return err
	}
	if err := w.opts.step.do("rename", w.dir()); err != nil {
		return err
	}
	if err := os.Rename(w.tmp, w.dir()); err != nil {
		return err
	}
	return w.syncParent()
}

// finishFiles ends all files, and has disk wait until they are there.
func (w *Writer) finishFiles(disk *errgroup.Group) error {
	w.segments.end()
	disk.Go(w.segments.finish)
	size, err := w.index.end()
	if err != nil {
		return err
	}
	disk.Go(w.index.finish)
	w.fill(size)
	if err := w.meta.Validate(); err != nil {
		return err // as of a range that no block can have
	}
	b, err := w.meta.Encode()
	if err != nil {
		return err
	}
	return w.writeMeta(b)
}

// syncParent puts the block's name on disk. If that fails, whether the block
// will be there after a crash is open, so it is taken away.
func (w *Writer) syncParent() error {
	err := syncPath(w.parent, w.opts.step)
	if err != nil && w.opts.step.do("rename", w.tmp) == nil {
		err = errors.Join(err, os.Rename(w.dir(), w.tmp))
	}
	return err
}

func (w *Writer) writeMeta(b []byte) error {
	f, err := createFile(filepath.Join(w.tmp, MetaFile), 4096, w.opts.step)
	if err != nil {
		return err
	}
	if _, err := f.Write(b); err != nil {
		return errors.Join(err, f.close())
	}
	return f.finish()
}

// fill sets what is known when everything is written.
func (w *Writer) fill(indexSize uint64) {
	m := w.meta
	if m.MinTime == 0 && m.MaxTime == 0 {
		m.MinTime, m.MaxTime = w.minTime, w.maxTime+1
	}
	if m.Compaction.Level == 0 {
		m.Compaction.Level = 1
	}
	if len(m.Compaction.Sources) == 0 {
		m.Compaction.Sources = []ulid.ULID{m.ULID}
	}
	m.Stats = w.stats
	m.Thanos.Version = thanosVersion
	m.Thanos.IndexStats = w.gatherer.stats
	m.Thanos.Files = append(slices.Clone(w.segments.done), File{RelPath: IndexFile, SizeBytes: int64(indexSize)}, File{RelPath: MetaFile})
	for _, f := range w.segments.done {
		m.Thanos.SegmentFiles = append(m.Thanos.SegmentFiles, strings.TrimPrefix(f.RelPath, ChunksDir+"/"))
	}
}

// Close gives the block up, unless it was committed: nothing of it is left. More
// than once does no harm.
func (w *Writer) Close() error {
	if w.err == nil {
		w.err = w.wrap(errClosed)
	}
	return w.drop()
}

// drop removes what was written.
func (w *Writer) drop() error {
	if w.tmp == "" {
		return nil
	}
	var errs []error
	if w.index != nil {
		errs = append(errs, w.index.abort())
	}
	errs = append(errs, w.segments.abort())
	err := w.opts.step.do("remove", w.tmp)
	if err == nil {
		err = os.RemoveAll(w.tmp)
	}
	w.tmp = ""
	return errors.Join(append(errs, err)...)
}
