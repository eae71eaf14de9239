package fanout_test

import (
	"context"
	"fmt"
	"math/rand"
	"testing"

	"github.com/efficientgo/core/testutil"

	"github.com/thanoskit/thanoskit/internal/encoded"
	"github.com/thanoskit/thanoskit/internal/wire"
	"github.com/thanoskit/thanoskit/store"
	"github.com/thanoskit/thanoskit/store/fanout"
)

// departing is a member that says how series depart from each other.
type departing []*store.Series

func (s departing) Series(_ context.Context, _ *store.SeriesRequest, w store.SeriesWriter) error {
	f := encoded.NewFrame(nil)
	send := func() error {
		for i := 1; i < len(f.Series); i++ {
			_, f.Series[i].From = encoded.Depart(f.Series[i-1].Labels, f.Series[i].Labels, 0)
		}
		f.Departs = true
		err := wire.Send(w, f)
		f.Release()
		f = encoded.NewFrame(nil)
		return err
	}
	for i, series := range s {
		v, _ := wire.View(nil, series)
		f.Series = append(f.Series, v)
		if i%7 == 6 {
			if err := send(); err != nil {
				return err
			}
		}
	}
	return send()
}

// departures checks what frames say of how series depart.
type departures struct {
	t      *testing.T
	series []string
}

func (d *departures) Send(*store.Series) error { return fmt.Errorf("plain series") }
func (d *departures) Warn(err error) error     { return err }
func (d *departures) SendFrame(f *encoded.Frame) error {
	testutil.Assert(d.t, f.Departs)
	for i := range f.Series {
		s := &f.Series[i]
		if i > 0 {
			order, from := encoded.Depart(f.Series[i-1].Labels, s.Labels, 0)
			testutil.Assert(d.t, order < 0)
			testutil.Equals(d.t, from, s.From)
		}
		d.series = append(d.series, fmt.Sprintf("%q %d %d", s.Labels, len(s.Chunks), s.Size()))
	}
	return nil
}

// Members that tell how their series depart are merged as those that do not, and
// what is sent tells it too.
func TestFramesTellDepartures(t *testing.T) {
	for seed := range int64(200) {
		r := rand.New(rand.NewSource(seed))
		var telling, plain []fanout.Member
		for i := range 1 + r.Intn(6) {
			ss := randomSeries(r)
			name := fmt.Sprint(i)
			plain = append(plain, fanout.Member{Name: name, Store: copies(ss)})
			if r.Intn(3) > 0 {
				telling = append(telling, fanout.Member{Name: name, Store: departing(ss)})
			} else {
				telling = append(telling, plain[i])
			}
		}
		want, got := &departures{t: t}, &departures{t: t}
		for w, members := range map[*departures][]fanout.Member{want: plain, got: telling} {
			f, err := fanout.New(fanout.Static(members...), nil)
			testutil.Ok(t, err)
			testutil.Ok(t, f.Series(t.Context(), &store.SeriesRequest{}, w))
		}
		testutil.Equals(t, want.series, got.series)
	}
}

// copies is a member that sends copies of plain series.
func copies(ss []*store.Series) store.Func {
	return func(_ context.Context, _ *store.SeriesRequest, w store.SeriesWriter) error {
		for _, s := range ss {
			if err := w.Send(&store.Series{Labels: s.Labels, Chunks: append([]store.Chunk(nil), s.Chunks...)}); err != nil {
				return err
			}
		}
		return nil
	}
}
