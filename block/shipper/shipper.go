package shipper

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/oklog/ulid/v2"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/tsdb/fileutil"
	"github.com/thanos-io/objstore"

	"github.com/thanoskit/thanoskit/block"
)

// Shipper sends the finished blocks of one data directory to one bucket. It is
// safe for concurrent use; one Sync runs at a time.
type Shipper struct {
	bkt     objstore.Bucket
	dir     string
	opts    Options
	metrics *metrics

	// Hooks of tests: what is called before each local step, os.Link, and
	// fileutil.Flock.
	step  func(op string) error
	link  func(from, to string) error
	flock func(path string) (fileutil.Releaser, bool, error)

	syncing  chan struct{} // has a place for the one who may use what is below
	verdicts map[ulid.ULID]verdict
	sent     map[ulid.ULID]bool // what the last Sync knew to be sent
	warned   map[string]bool    // what it warned of
	waiting  []ulid.ULID        // what it should have sent and did not
	bucket   *block.Fetcher     // for overlaps, made when it is needed
}

// New returns a Shipper of the blocks in dir, the data directory of a Prometheus
// (--storage.tsdb.path). It does no I/O. The bucket remains the caller's to close.
//
// Errors: what is wrong with the options, joined.
func New(bkt objstore.Bucket, dir string, opts *Options) (*Shipper, error) {
	o, err := opts.complete()
	if dir == "" {
		err = errors.Join(errors.New("data directory: missing"), err)
	}
	if err != nil {
		return nil, err
	}
	m, err := newMetrics(o.Registerer)
	if err != nil {
		return nil, fmt.Errorf("register metrics: %w", err)
	}
	return &Shipper{
		bkt: bkt, dir: dir, opts: o, metrics: m,
		step:     func(string) error { return nil },
		link:     os.Link,
		flock:    fileutil.Flock,
		syncing:  make(chan struct{}, 1),
		verdicts: map[ulid.ULID]verdict{},
	}, nil
}

func (s *Shipper) recordPath() string { return filepath.Join(s.dir, s.opts.MetaFileName) }

// external returns the external labels as they are now.
func (s *Shipper) external() labels.Labels { return s.opts.ExternalLabels().WithoutEmpty() }

// do takes a step that changes the data directory.
func (s *Shipper) do(op string, f func() error) error {
	if err := s.step(op); err != nil {
		return err
	}
	return f()
}

// Reason says why a block was not sent.
type Reason string

// The reasons for which a block is not sent. Those that have been sent before
// are not listed.
const (
	// Empty: it has no samples.
	Empty Reason = "empty"
	// Compacted: Prometheus compacted it, and Options.UploadCompacted is not set.
	Compacted Reason = "compacted"
	// Corrupted: readers could not read it, and Options.SkipCorrupted is set.
	Corrupted Reason = "corrupted"
	// Deleted: it is marked for deletion in the bucket.
	Deleted Reason = "deleted"
	// Vanished: it was deleted from the data directory meanwhile.
	Vanished Reason = "vanished"
	// Overlapping: it is compacted and overlaps with blocks of the bucket. There is
	// an error that says with which.
	Overlapping Reason = "overlapping"
	// Failed: there is an error that says why. The next Sync tries again.
	Failed Reason = "failed"
	// HeldBack: an older block failed, see Options.AllowOutOfOrder, or the context
	// ended.
	HeldBack Reason = "held back"
)

// Skip is a block that was not sent.
type Skip struct {
	Block  ulid.ULID
	Reason Reason
}

// Result is what became of the blocks in the data directory.
type Result struct {
	// Uploaded are the blocks that were sent, the oldest first.
	Uploaded []ulid.ULID
	// Found are those that turned out to be in the bucket already, though it was
	// not known that they had been sent.
	Found []ulid.ULID
	// Skipped are the others that are not known to have been sent: those without a
	// readable meta.json, then the oldest first.
	Skipped []Skip
	// Warnings are what should be looked at though it kept nothing else from being
	// sent: *UnreadableError, others that are ErrVanished, ErrRecord or ErrNoLocks,
	// and those of removing links. Each is there once, and was logged when it came up,
	// before the block in question was sent.
	Warnings []error
}

func (r *Result) skip(id ulid.ULID, why Reason) {
	r.Skipped = append(r.Skipped, Skip{Block: id, Reason: why})
}

func (r *Result) skipped(why Reason) bool {
	return slices.ContainsFunc(r.Skipped, func(s Skip) bool { return s.Reason == why })
}

// Sync sends the finished blocks that have not been sent yet, once.
//
// Errors: ErrNoExternalLabels and ErrBusy, when nothing was done; those of
// listing the data directory; an *Error for each block that should have been sent
// and was not, joined. The Result is what was done all the same. When the context
// ends, its error is among them.
//
// Concurrency: safe; one Sync runs at a time, for which the others wait unless
// their context ends, and ErrBusy is about others than this Shipper. Cost: a block that is sent is read twice, once to see that readers
// can read it; one that was sent before costs nothing.
func (s *Shipper) Sync(ctx context.Context) (res Result, err error) {
	select {
	case s.syncing <- struct{}{}:
	case <-ctx.Done():
		return res, ctx.Err()
	}
	defer func() { <-s.syncing }()
	defer func() { s.metrics.synced(&res, s.opts.UploadCompacted, err) }()

	external := s.external()
	if external.IsEmpty() {
		return res, ErrNoExternalLabels
	}
	w, err := s.openWork()
	if err != nil {
		return res, err
	}
	defer func() { err = errors.Join(err, w.close()) }()
	r := &syncRun{s: s, work: w, external: external, res: &res, warned: map[string]bool{}}
	if w.noLock != nil {
		r.warn(w.noLock)
	}
	err = r.run(ctx)
	s.warned = r.warned
	return res, err
}

// syncRun is one Sync.
type syncRun struct {
	s        *Shipper
	work     *work
	external labels.Labels
	res      *Result

	local []ulid.ULID        // in the data directory
	sent  map[ulid.ULID]bool // have been sent, now or before
	view  *block.View        // of the bucket, read when a compacted block needs it

	warned map[string]bool
}

// warn adds a warning to the result, once. It is logged at once, while an upload
// may take long, and not again while it lasts.
func (r *syncRun) warn(err error) {
	text := err.Error()
	if r.warned[text] {
		return
	}
	r.warned[text] = true
	r.res.Warnings = append(r.res.Warnings, err)
	if !r.s.warned[text] {
		r.s.opts.Logger.Warn("warning about blocks", "dir", r.s.dir, "err", err)
	}
}

func (r *syncRun) run(ctx context.Context) error {
	var err error
	if r.local, err = r.s.localBlocks(); err != nil {
		return err
	}
	r.s.forget(r.local)
	if r.sent, err = readRecord(r.s.recordPath()); err != nil {
		r.warn(err)
		r.sent = r.s.remembered(r.local)
	}
	r.lost()
	defer func() { r.s.waiting, r.s.sent = r.unsent(), r.sent }()
	// At once: without the file, Prometheus takes all blocks for sent.
	r.save()
	unknown := slices.DeleteFunc(slices.Clone(r.local), func(id ulid.ULID) bool { return r.sent[id] })
	metas, bad := r.s.readMetas(unknown)
	errs, held := r.unreadable(bad)
	for _, meta := range metas {
		if why := r.s.stays(meta); why != "" {
			r.res.skip(meta.ULID, why)
			continue
		}
		if held || ctx.Err() != nil {
			r.res.skip(meta.ULID, HeldBack)
			continue
		}
		if err := r.one(ctx, meta); err != nil {
			errs = append(errs, err)
			held = !r.s.opts.AllowOutOfOrder && !errors.Is(err, ErrOverlap)
		}
	}
	r.save()
	if r.res.skipped(HeldBack) {
		errs = append(errs, ctx.Err()) // if that is why
	}
	return errors.Join(errs...)
}

// remembered returns those of the local blocks that the last Sync knew to be sent,
// for when the record cannot be read.
func (s *Shipper) remembered(local []ulid.ULID) map[ulid.ULID]bool {
	sent := map[ulid.ULID]bool{}
	for _, id := range local {
		if s.sent[id] {
			sent[id] = true
		}
	}
	return sent
}

// lost warns of blocks that are gone since the last Sync could not send them.
func (r *syncRun) lost() {
	for _, id := range r.s.waiting {
		if !slices.Contains(r.local, id) && !r.sent[id] { // nor has anybody else
			r.warn(&Error{Block: id, Op: "upload", Err: ErrVanished})
		}
	}
}

// unsent returns the blocks that the next Sync is to send.
func (r *syncRun) unsent() []ulid.ULID {
	var ids []ulid.ULID
	for _, s := range r.res.Skipped {
		if s.Reason == Failed || s.Reason == HeldBack {
			ids = append(ids, s.Block)
		}
	}
	return ids
}

// unreadable says what becomes of blocks without a readable meta.json, and
// whether all others have to wait: nobody knows which of them are newer.
func (r *syncRun) unreadable(bad []*Error) (errs []error, held bool) {
	for _, e := range bad {
		r.s.metrics.corrupted.Inc()
		if r.s.opts.SkipCorrupted {
			r.res.skip(e.Block, Corrupted)
			r.warn(&UnreadableError{Block: e.Block, Skipped: true, Problems: []block.Problem{
				{Kind: block.CorruptMeta, Count: 1, Examples: []error{e.Err}},
			}})
			continue
		}
		r.res.skip(e.Block, Failed)
		errs = append(errs, e)
	}
	return errs, len(errs) > 0 && !r.s.opts.AllowOutOfOrder
}

// stays says why a block is not to be sent at all, or "".
func (s *Shipper) stays(meta *block.Meta) Reason {
	switch {
	case meta.Stats.NumSamples == 0:
		return Empty
	case meta.Compaction.Level > 1 && !s.opts.UploadCompacted:
		return Compacted
	}
	return ""
}

// one sends a block, or finds out why not.
func (r *syncRun) one(ctx context.Context, meta *block.Meta) error {
	id := meta.ULID
	where, err := r.lookUp(ctx, id)
	if err != nil {
		return r.failed(ctx, id, "look up", err)
	}
	switch where {
	case there:
		r.res.Found = append(r.res.Found, id)
		r.sent[id] = true
		return nil
	case marked:
		r.res.skip(id, Deleted)
		r.sent[id] = true // and never comes back
		return nil
	case absent, lacking:
	}
	if meta.Compaction.Level > 1 && !r.s.opts.AllowOutOfOrder {
		if err := r.compare(ctx, meta); errors.Is(err, ErrOverlap) {
			r.res.skip(id, Overlapping)
			return &Error{Block: id, Op: "compare", Err: err}
		} else if err != nil {
			return r.failed(ctx, id, "compare", err)
		}
	}
	return r.send(ctx, meta, where)
}

// failed notes a block that could not be sent.
func (r *syncRun) failed(ctx context.Context, id ulid.ULID, op string, err error) error {
	r.res.skip(id, Failed)
	if ctx.Err() == nil { // else it is nobody's failure
		r.s.metrics.uploadFailures.Inc()
	}
	return &Error{Block: id, Op: op, Err: err}
}

// send uploads a block from a directory of its own. What lacks objects in the
// bucket stays as it is until they are at hand.
func (r *syncRun) send(ctx context.Context, local *block.Meta, where whereabouts) error {
	id, meta := local.ULID, r.dress(local)
	defer r.unstage(id)
	dir, err := r.work.stage(id, meta)
	if errors.Is(err, ErrVanished) {
		r.res.skip(id, Vanished)
		r.warn(&Error{Block: id, Op: "link", Err: err})
		return nil
	}
	if err != nil {
		return r.failed(ctx, id, "link", err)
	}
	v, err := r.s.check(ctx, id, dir)
	if err != nil {
		return r.failed(ctx, id, "verify", err)
	}
	if len(v.problems) > 0 {
		r.s.metrics.corrupted.Inc()
		r.warn(&UnreadableError{Block: id, Skipped: r.s.opts.SkipCorrupted, Problems: v.problems})
		if r.s.opts.SkipCorrupted {
			r.res.skip(id, Corrupted)
			return nil
		}
	}
	if meta.Thanos.IndexStats == (block.IndexStats{}) {
		meta.Thanos.IndexStats = v.stats // so that gateways read no more than they need
	}
	if err := r.work.writeMeta(dir, meta); err != nil {
		return r.failed(ctx, id, "link", err)
	}
	if where == lacking {
		if err := r.s.withdraw(ctx, id); err != nil {
			return r.failed(ctx, id, "upload", err)
		}
	}
	began := time.Now()
	if err := r.upload(ctx, dir); err != nil {
		return r.failed(ctx, id, "upload", err)
	}
	r.s.metrics.uploads.Inc()
	r.s.opts.Logger.Info("block uploaded", "block", id.String(), "min_time", local.MinTime, "max_time", local.MaxTime,
		"level", local.Compaction.Level, "duration", time.Since(began))
	r.res.Uploaded = append(r.res.Uploaded, id)
	r.sent[id] = true
	delete(r.s.verdicts, id)
	r.save() // Prometheus may wait for it
	return nil
}

// unstage removes the links to a block. What it leaves, the next Sync removes.
func (r *syncRun) unstage(id ulid.ULID) {
	if err := r.work.remove(id.String()); err != nil {
		r.warn(fmt.Errorf("clear upload directory: %w", err))
	}
}

// dress returns a block's meta.json as it shall be in the bucket. Labels that it
// has already stay, unless there are external labels of the same name.
func (r *syncRun) dress(local *block.Meta) *block.Meta {
	meta := *local
	meta.Thanos.Labels = make(map[string]string, len(local.Thanos.Labels)+r.external.Len())
	maps.Copy(meta.Thanos.Labels, local.Thanos.Labels)
	r.external.Range(func(l labels.Label) { meta.Thanos.Labels[l.Name] = l.Value })
	meta.Thanos.Source = r.s.opts.Source
	return &meta
}

// save writes down what has been sent. Without it, the bucket is asked next time.
func (r *syncRun) save() {
	if err := r.work.save(r.sent, r.local); err != nil {
		r.warn(err)
	}
}
