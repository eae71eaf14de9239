package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"strings"
	"time"

	"github.com/prometheus/prometheus/model/labels"
	"google.golang.org/grpc"
	"google.golang.org/grpc/connectivity"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/keepalive"

	"github.com/thanoskit/thanoskit/store"
	"github.com/thanoskit/thanoskit/store/grpcstore"
	"github.com/thanoskit/thanoskit/store/storetest"
)

// peer is the store at the address.
type peer struct {
	conn   *grpc.ClientConn
	client *grpcstore.Client
	info   *store.Info // nil if it does not describe itself
}

// maxAnswer is the size in bytes of the largest answer that is read, for stores
// that send more than was asked for.
const maxAnswer = 1 << 30

// dial connects to the store, and asks it to describe itself.
//
// Errors: if nobody answers. A store that answers, but not with its Info, is
// there to be checked.
func (c *command) dial(ctx context.Context, log io.Writer) (*peer, error) {
	opts, err := c.tls.DialOptions(c.address, slog.New(slog.NewTextHandler(log, nil)))
	if err != nil {
		return nil, err
	}
	if len(opts) == 0 {
		opts = append(opts, grpc.WithTransportCredentials(insecure.NewCredentials()))
	}
	conn, err := grpc.NewClient(c.address, append(opts,
		grpc.WithKeepaliveParams(keepalive.ClientParameters{Time: 10 * time.Second, Timeout: 5 * time.Second}), // as Thanos' clients
		grpc.WithDisableServiceConfig(),
		grpc.WithDefaultServiceConfig(fmt.Sprintf(`{"methodConfig": [{"name": [{}], "timeout": "%.9fs"}]}`, c.callTimeout.Seconds())))...)
	if err != nil {
		return nil, fmt.Errorf("dial %s: %w", c.address, err)
	}
	client, err := grpcstore.NewClient(conn, c.address, &grpcstore.ClientOptions{Limits: store.Limits{Bytes: maxAnswer}})
	if err != nil {
		return nil, errors.Join(err, conn.Close())
	}
	p := &peer{conn: conn, client: client}
	switch info, err := client.Describe(ctx); {
	case err == nil:
		p.info = &info
	case conn.GetState() != connectivity.Ready:
		return nil, errors.Join(fmt.Errorf("reach the store: %w", err), p.close())
	}
	return p, nil
}

func (p *peer) close() error { return errors.Join(p.client.Close(), p.conn.Close()) }

// kind names the component.
func (p *peer) kind() string {
	if p.info == nil || p.info.Component == "" {
		return "store"
	}
	return p.info.Component
}

// defaultRange is how much is looked at if -from does not say.
const defaultRange = time.Hour

// bounds says what to look at.
//
// Errors: if more series are chosen than may be, or none.
func (c *command) bounds(ctx context.Context, p *peer) (*storetest.Options, error) {
	o := &storetest.Options{Matchers: c.matchers, MaxSeries: c.maxSeries, ReplicaLabels: c.replicaLabels, Conn: p.conn, Checks: c.checks}
	if len(o.Matchers) == 0 {
		o.Matchers = []*labels.Matcher{{Type: labels.MatchNotEqual, Name: labels.MetricName}}
	}
	if c.fixture != nil {
		o.MinTime, o.MaxTime = c.fixture.TimeRange()
		const margin = 60_000 // ms in which there is nothing
		o.MinTime, o.MaxTime = o.MinTime-margin, o.MaxTime+margin
	} else if !c.setRange(o, p.info, time.Now()) {
		return o, nil
	}
	return o, c.count(ctx, p.client, o)
}

// setRange sets the range, and reports whether there is one. If not, the checks
// say why.
func (c *command) setRange(o *storetest.Options, info *store.Info, now time.Time) bool {
	if info == nil {
		if c.from.IsZero() || c.to.IsZero() {
			return false
		}
		info = &store.Info{}
	}
	mint, maxt := info.TimeRange()
	maxt = min(maxt, now.Add(-time.Minute).UnixMilli()) // what is younger still grows
	if !c.to.IsZero() {
		maxt = c.to.UnixMilli()
	}
	mint = max(mint, maxt-defaultRange.Milliseconds())
	if !c.from.IsZero() {
		mint = c.from.UnixMilli()
	}
	if mint > maxt {
		return false
	}
	o.MinTime, o.MaxTime = mint, maxt
	return true
}

// count returns an error if more series are chosen than may be, and if there are
// none, unless the fixture should be there: a store that has nothing passes for a
// good one. It is asked for labels only, and for no more of them than that; if it has
// none, for chunks too, up to the first series. What else is wrong with the answer is
// the checks' to say.
func (c *command) count(ctx context.Context, s store.Store, o *storetest.Options) error {
	req := &store.SeriesRequest{Matchers: o.Matchers, MinTime: o.MinTime, MaxTime: o.MaxTime, SkipChunks: true, Limit: o.MaxSeries + 1}
	n := 0
	for _, err := range store.All(ctx, s, req, nil) {
		if err != nil {
			return nil // the checks find it again
		}
		if n++; n > o.MaxSeries {
			return fmt.Errorf("there are more than %d series %s: choose some with -matcher, or raise -max-series", o.MaxSeries, describe(o))
		}
	}
	if n > 0 || c.fixture != nil {
		return nil
	}
	req.SkipChunks, req.Limit = false, 0
	for range store.All(ctx, s, req, nil) {
		return nil // it has some, or an error, all the same
	}
	return fmt.Errorf("there are no series %s: choose others with -matcher, -from and -to", describe(o))
}

// describe says what is looked at.
func describe(o *storetest.Options) string {
	ms := make([]string, len(o.Matchers))
	for i, m := range o.Matchers {
		ms[i] = m.String()
	}
	text := "that match {" + strings.Join(ms, ", ") + "}"
	if o.MinTime == 0 && o.MaxTime == 0 {
		return text
	}
	return text + " from " + rfc3339(o.MinTime) + " to " + rfc3339(o.MaxTime)
}

func rfc3339(ms int64) string { return time.UnixMilli(ms).UTC().Format(time.RFC3339Nano) }
