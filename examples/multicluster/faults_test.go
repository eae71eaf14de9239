package main

import (
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"

	"github.com/thanos-io/objstore"
)

var errGone = errors.New("bucket is gone")

// gates are put between units and buckets, to shut.
type gates struct {
	mu   sync.Mutex
	gone map[string]bool // by cluster
	of   map[*unit][]*gate
}

func newGates() *gates { return &gates{gone: map[string]bool{}, of: map[*unit][]*gate{}} }

// between is that of options.
func (g *gates) between(u *unit, c *cluster, b objstore.Bucket) objstore.Bucket {
	g.mu.Lock()
	defer g.mu.Unlock()
	out := &gate{Bucket: b, gates: g, cluster: c.name}
	g.of[u] = append(g.of[u], out)
	return out
}

// setGone takes the bucket of a cluster away from everybody, or gives it back.
func (g *gates) setGone(cluster string, gone bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.gone[cluster] = gone
}

// shut takes buckets away from a unit, for the rest of its life.
func (g *gates) shut(u *unit) {
	g.mu.Lock()
	defer g.mu.Unlock()
	for _, gate := range g.of[u] {
		gate.dead.Store(true)
	}
	delete(g.of, u)
}

// gate is a bucket that can be shut: then it does and answers nothing.
type gate struct {
	objstore.Bucket
	gates   *gates
	cluster string
	dead    atomic.Bool
}

func (g *gate) err() error {
	g.gates.mu.Lock()
	defer g.gates.mu.Unlock()
	if g.dead.Load() || g.gates.gone[g.cluster] {
		return errGone
	}
	return nil
}

func (g *gate) Iter(ctx context.Context, dir string, f func(string) error, opts ...objstore.IterOption) error {
	if err := g.err(); err != nil {
		return err
	}
	return g.Bucket.Iter(ctx, dir, f, opts...)
}

func (g *gate) IterWithAttributes(ctx context.Context, dir string, f func(objstore.IterObjectAttributes) error, opts ...objstore.IterOption) error {
	if err := g.err(); err != nil {
		return err
	}
	return g.Bucket.IterWithAttributes(ctx, dir, f, opts...)
}

func (g *gate) Get(ctx context.Context, name string) (io.ReadCloser, error) {
	if err := g.err(); err != nil {
		return nil, err
	}
	r, err := g.Bucket.Get(ctx, name)
	return gateReader{r, g}, err
}

func (g *gate) GetRange(ctx context.Context, name string, off, length int64) (io.ReadCloser, error) {
	if err := g.err(); err != nil {
		return nil, err
	}
	r, err := g.Bucket.GetRange(ctx, name, off, length)
	return gateReader{r, g}, err
}

func (g *gate) Exists(ctx context.Context, name string) (bool, error) {
	if err := g.err(); err != nil {
		return false, err
	}
	return g.Bucket.Exists(ctx, name)
}

func (g *gate) Attributes(ctx context.Context, name string) (objstore.ObjectAttributes, error) {
	if err := g.err(); err != nil {
		return objstore.ObjectAttributes{}, err
	}
	return g.Bucket.Attributes(ctx, name)
}

func (g *gate) Upload(ctx context.Context, name string, r io.Reader, opts ...objstore.ObjectUploadOption) error {
	if err := g.err(); err != nil {
		return err
	}
	return g.Bucket.Upload(ctx, name, r, opts...)
}

func (g *gate) Delete(ctx context.Context, name string) error {
	if err := g.err(); err != nil {
		return err
	}
	return g.Bucket.Delete(ctx, name)
}

// gateReader fails in the middle, if the bucket goes away then.
type gateReader struct {
	io.ReadCloser
	gate *gate
}

func (r gateReader) Read(b []byte) (int, error) {
	if err := r.gate.err(); err != nil {
		return 0, err
	}
	return r.ReadCloser.Read(b)
}

// kill ends a unit as the end of its process would: its connections are reset, it
// reaches no bucket any more, and its files are as they were at that moment,
// whatever an orderly end goes on to write.
func (u *unit) kill(g *gates) error {
	u.killed.Store(true)
	g.shut(u)
	if u.link != nil {
		if err := u.link.set(refusing); err != nil {
			return err
		}
	}
	left := u.dir + ".left"
	if u.dir != "" {
		if err := copyDir(u.dir, left); err != nil {
			return err
		}
	}
	_ = u.end() // Nobody is there to hear of it.
	u.close = nil
	if u.dir == "" {
		return nil
	}
	if err := os.RemoveAll(u.dir); err != nil {
		return err
	}
	return os.Rename(left, u.dir)
}

// copyDir copies what there is. A file may go away meanwhile.
func copyDir(from, to string) error {
	return filepath.WalkDir(from, func(path string, d os.DirEntry, err error) error {
		if errors.Is(err, os.ErrNotExist) {
			return nil
		}
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(from, path)
		if err != nil {
			return err
		}
		if d.IsDir() {
			return os.MkdirAll(filepath.Join(to, rel), 0o750)
		}
		b, err := os.ReadFile(path)
		if errors.Is(err, os.ErrNotExist) {
			return nil
		}
		if err != nil {
			return err
		}
		return os.WriteFile(filepath.Join(to, rel), b, 0o640)
	})
}

// fault is something that goes wrong for a while.
type fault struct {
	name string
	// named are members by one of which answers are marked; none if nothing shows.
	named []string
	// silent says that there are no answers at all for a while.
	silent bool

	strike, mend func() error
}

// killed is the fault of a unit that is killed, and begins again.
func (s *suite) killed(u *unit, named ...string) fault {
	return fault{name: "killed " + u.name, named: named, silent: u == s.observer,
		strike: func() error { return u.kill(s.gates) },
		mend:   u.begin,
	}
}

// cutOff is the fault of an observee that is cut off.
func (s *suite) cutOff(c *cluster, how state) fault {
	return fault{name: map[state]string{refusing: "refused by ", resetting: "reset by ", stalling: "stalled by "}[how] + c.name, named: []string{"querier " + c.name},
		strike: func() error { return c.querier.link.set(how) },
		mend:   func() error { return c.querier.link.mend() },
	}
}

// lost is the fault of a bucket that is gone. Its gateway has just begun to live, and
// has nothing of it in memory but what there is.
func (s *suite) lost(c *cluster) fault {
	return fault{name: "bucket of " + c.name, named: []string{"gateway " + c.name},
		strike: func() error {
			if err := c.gateway.kill(s.gates); err != nil {
				return err
			}
			if err := c.gateway.begin(); err != nil {
				return err
			}
			s.gates.setGone(c.name, true)
			return nil
		},
		mend: func() error {
			s.gates.setGone(c.name, false)
			return nil
		},
	}
}

// each is every component killed, every bucket gone and every observee cut off, by
// itself.
func (s *suite) each() (rounds [][]fault) {
	add := func(f fault) { rounds = append(rounds, []fault{f}) }
	for _, c := range s.clusters() {
		through := ""
		if c != s.hub {
			through = "querier " + c.name + "/"
		}
		for i, r := range c.replicas {
			sidecar := through + "sidecar " + r.external.Get(replicaLabel)
			add(s.killed(r.unit, sidecar))
			add(s.killed(c.sidecars[i], sidecar))
		}
		add(s.killed(c.compactor))
		add(s.killed(c.gateway, "gateway "+c.name))
		add(s.lost(c))
	}
	for _, c := range s.observees {
		add(s.killed(c.querier, "querier "+c.name))
		for _, how := range []state{refusing, stalling, resetting} {
			add(s.cutOff(c, how))
		}
	}
	add(s.killed(s.observer))
	return rounds
}

// storms are faults at the same time: each kind of them is in one.
func (s *suite) storms() [][]fault {
	eu, us := s.observees[0], s.observees[1]
	return [][]fault{
		{s.killed(eu.replicas[0].unit, "querier eu/sidecar a"), s.killed(s.hub.sidecars[1], "sidecar b"), s.killed(us.gateway, "gateway us"), s.killed(us.compactor)},
		{s.cutOff(us, stalling), s.lost(s.hub), s.killed(eu.sidecars[1], "querier eu/sidecar b")},
		{s.killed(eu.querier, "querier eu"), s.cutOff(us, refusing), s.killed(s.hub.replicas[0].unit, "sidecar a")},
		{s.killed(s.observer), s.cutOff(eu, resetting)},
	}
}
