package faults_test

import (
	"context"
	"errors"
	"log/slog"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/efficientgo/core/testutil"

	"github.com/thanoskit/thanoskit/store"
	"github.com/thanoskit/thanoskit/store/fanout"
)

// lines counts log lines.
type lines struct{ n atomic.Int64 }

func (l *lines) Write(p []byte) (int, error) {
	l.n.Add(1)
	return len(p), nil
}

// TestFlapping: a member that is up in even seconds and down in odd ones, its Info
// as its series, in the midst of an answer too.
func TestFlapping(t *testing.T) {
	t.Parallel()
	for _, tr := range transports {
		t.Run(tr.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				start := time.Now()
				down := func() error {
					if time.Since(start)/time.Second%2 == 1 {
						return store.ErrUnavailable
					}
					return nil
				}
				bad := badData(t)
				bad.describe = func(_ context.Context, info store.Info) (store.Info, error) { return info, down() }
				bad.series = func(ctx context.Context, ss []*store.Series, w store.SeriesWriter) error {
					for _, s := range ss { // 400 ms in all
						if err := errors.Join(down(), sleep(ctx, 10*time.Millisecond)); err != nil {
							return err
						}
						if err := w.Send(s); err != nil {
							return err
						}
					}
					return nil
				}
				var log lines
				r := newRig(t, fanout.Options{InfoInterval: 700 * time.Millisecond, Logger: slog.New(slog.NewTextHandler(&log, nil))},
					fanout.Member{Store: tr.to(t, bad)}, tr.to)
				stop := running(t, r.Store)
				others, own := r.whole(t)
				seen := map[store.MemberStatus]int{}
				partly := 0
				for time.Since(start) < 20*time.Second {
					a := r.ask(t, store.Warn)
					testutil.Ok(t, a.err)
					a.data.holds(t, others, own)
					m := a.outcome.Members()[0]
					seen[m.Status]++
					switch m.Status {
					case store.Answered:
						testutil.Equals(t, seriesOfBad, a.data.of("bad"))
						testutil.Equals(t, 0, len(a.warnings))
					default:
						(&fate{is: store.ErrUnavailable}).blames(t, m.Err)
						testutil.Equals(t, 1, len(a.warnings))
						if a.data.of("bad") > 0 {
							partly++
						}
					}
					testutil.Equals(t, ", eu answered, us answered, ap answered", strings.TrimPrefix(statuses(a.outcome), "bad "+m.Status.String()))
					<-time.After(37 * time.Millisecond)
				}
				testutil.Assert(t, len(seen) == 2 && seen[store.Answered] > 5 && seen[store.Failed] > 5 && partly > 1, "%v, %d in part", seen, partly)
				testutil.Assert(t, log.n.Load() > 0 && log.n.Load() <= 10, "%d lines were logged", log.n.Load())
				stop()
			})
		})
	}
}

// running runs a fan-out until the returned function is called.
func running(t testing.TB, f *fanout.Store) (stop func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- f.Run(ctx) }()
	return func() {
		cancel()
		testutil.Ok(t, <-done)
	}
}

// changing is a Source whose members change.
type changing struct {
	members atomic.Pointer[[]fanout.Member]
}

func (c *changing) Members() []fanout.Member     { return *c.members.Load() }
func (c *changing) set(members ...fanout.Member) { c.members.Store(&members) }

// TestMembershipFlaps: a member comes and goes, every second, in the midst of
// queries, which have it or do not as a whole.
func TestMembershipFlaps(t *testing.T) {
	t.Parallel()
	for _, tr := range transports {
		t.Run(tr.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				bad := badData(t)
				bad.series = func(ctx context.Context, ss []*store.Series, w store.SeriesWriter) error {
					return errors.Join(sleep(ctx, 300*time.Millisecond), sendAll(ss, w))
				}
				r := newRig(t, fanout.Options{}, fanout.Member{Store: tr.to(t, bad)}, tr.to)
				both := r.members
				var source changing
				source.set(both...)
				f, err := fanout.New(&source, &fanout.Options{InfoInterval: 300 * time.Millisecond, Registerer: r.reg})
				testutil.Ok(t, err)
				r.Store = f
				stop := running(t, f)
				others, own := r.whole(t)
				ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
				defer cancel()
				var work sync.WaitGroup
				work.Go(func() {
					for i := 0; sleep(ctx, time.Second) == nil; i++ {
						source.set(both[1-i%2:]...)
					}
				})
				with, without := 0, 0
				for ctx.Err() == nil {
					a := r.ask(t, store.Abort)
					testutil.Ok(t, a.err)
					a.data.holds(t, others, own)
					testutil.Equals(t, 0, len(a.warnings))
					switch s := statuses(a.outcome); s {
					case "eu answered, us answered, ap answered":
						without++
						testutil.Equals(t, 0, a.data.of("bad"))
					default:
						with++
						testutil.Equals(t, "bad answered, eu answered, us answered, ap answered", s)
						testutil.Equals(t, seriesOfBad, a.data.of("bad"))
					}
					<-time.After(83 * time.Millisecond)
				}
				work.Wait()
				stop()
				testutil.Assert(t, with > 5 && without > 5, "%d times with it, %d without", with, without)
			})
		})
	}
}
