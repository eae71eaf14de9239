package faults_test

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/thanoskit/thanoskit/store"
	"github.com/thanoskit/thanoskit/store/fanout"
)

var errDisk = errors.New("disk on fire")

// waitBudget is no multiple of a second, so that what happens every second does
// not happen when it is used up.
const waitBudget = 9500 * time.Millisecond

// TestMemberFaults is all that a Store can do wrong by itself, in fake time.
func TestMemberFaults(t *testing.T) {
	t.Parallel()
	type ss = []*store.Series
	timedOut := func(arrived int) fate {
		return fate{status: store.TimedOut, is: context.DeadlineExceeded, text: []string{"series: wait budget used up"}, arrived: arrived, took: waitBudget}
	}
	// Of each of its series the bad member has one of its own and one of eu.
	for name, tc := range map[string]struct {
		series func(ctx context.Context, all ss, w store.SeriesWriter) error
		want   fate
		none   bool // its condition does not cross the wire
	}{
		"dead at start": {
			series: func(context.Context, ss, store.SeriesWriter) error { return store.ErrUnavailable },
			want:   fate{status: store.Failed, is: store.ErrUnavailable, text: []string{"series: ", "store unavailable"}},
		},
		"refuses": {
			series: func(context.Context, ss, store.SeriesWriter) error { return &store.LimitError{Limit: "series", Max: 7} },
			want:   fate{status: store.Failed, is: store.ErrLimit, text: []string{"series limit of 7 exceeded"}},
		},
		"dies mid-stream": {
			series: func(_ context.Context, all ss, w store.SeriesWriter) error {
				return errors.Join(sendAll(all[:sentBefore], w), errDisk)
			},
			want: fate{status: store.Failed, is: errDisk, text: []string{"disk on fire"}, arrived: sentBefore / 2}, none: true,
		},
		"panics mid-stream": {
			series: func(_ context.Context, all ss, w store.SeriesWriter) error {
				_ = sendAll(all[:sentBefore], w)
				panic(errDisk)
			},
			want: fate{status: store.Failed, is: errDisk, text: []string{"panic", "disk on fire"}, arrived: sentBefore / 2}, none: true,
		},
		"stalls mid-stream": {
			series: func(ctx context.Context, all ss, w store.SeriesWriter) error {
				if err := sendAll(all[:sentBefore], w); err != nil {
					return err
				}
				<-ctx.Done()
				return ctx.Err()
			},
			want: timedOut(sentBefore / 2),
		},
		"never sends a first frame": {
			series: func(ctx context.Context, _ ss, _ store.SeriesWriter) error {
				<-ctx.Done()
				return ctx.Err()
			},
			want: timedOut(0),
		},
		"never ends": {
			series: func(ctx context.Context, all ss, w store.SeriesWriter) error {
				if err := sendAll(all, w); err != nil {
					return err
				}
				<-ctx.Done()
				return ctx.Err()
			},
			want: timedOut(seriesOfBad),
		},
		"trickles one frame a second, within its budget": {
			series: func(ctx context.Context, all ss, w store.SeriesWriter) error {
				return errors.Join(trickle(ctx, all[:9], w), sendAll(all[9:], w))
			},
			want: fate{status: store.Answered, arrived: seriesOfBad, took: 9 * time.Second},
		},
		"trickles one frame a second, beyond its budget": {
			series: trickle,
			want:   timedOut(5), // of nine series
		},
		"sends unsorted series": {
			series: func(_ context.Context, all ss, w store.SeriesWriter) error {
				return sendAll(append(all[:sentBefore:sentBefore], all[3], all[25]), w)
			},
			want: fate{status: store.Failed, is: store.ErrUnsorted, text: []string{"series out of order", `a="0001"`}, arrived: sentBefore / 2}, none: true,
		},
		"says that its answer has ended": {
			series: func(_ context.Context, all ss, w store.SeriesWriter) error { return sendAll(all[:sentBefore], w) },
			want:   fate{status: store.Answered, arrived: sentBefore / 2},
		},
	} {
		for _, tr := range transports {
			t.Run(name+"/"+tr.name, func(t *testing.T) {
				t.Parallel()
				synctest.Test(t, func(t *testing.T) {
					bad, want := badData(t), tc.want
					bad.series = tc.series
					if tr.name != "in process" && tc.none {
						want.is = nil
					}
					r := newRig(t, fanout.Options{WaitBudget: waitBudget}, fanout.Member{Store: tr.to(t, bad)}, tr.to)
					r.check(t, want)
				})
			})
		}
	}
}

// trickle sends one series a second.
func trickle(ctx context.Context, ss []*store.Series, w store.SeriesWriter) error {
	for _, s := range ss {
		if err := sleep(ctx, time.Second); err != nil {
			return err
		}
		if err := w.Send(s); err != nil {
			return err
		}
	}
	return nil
}
