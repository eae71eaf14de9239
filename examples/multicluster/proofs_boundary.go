package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/prometheus/prometheus/promql"

	"github.com/thanoskit/thanoskit/query"
	"github.com/thanoskit/thanoskit/store"
	"github.com/thanoskit/thanoskit/tlsutil"
)

func proveNoCertificate(ctx context.Context, t *topology, w io.Writer) error {
	return t.refused(ctx, w, keyPair{}, tlsutil.ProblemNoClientCert)
}

func proveOtherCA(ctx context.Context, t *topology, w io.Writer) error {
	return t.refused(ctx, w, t.certs.stranger, tlsutil.ProblemClientCert)
}

// refused returns an error unless each observee lets the observer in, and refuses
// another client because of its certificate.
func (t *topology) refused(ctx context.Context, w io.Writer, client keyPair, want tlsutil.Problem) error {
	for _, c := range t.observees {
		for _, who := range []keyPair{t.certs.observer, client} {
			d, err := tlsutil.Doctor(ctx, c.querier.addr(), &tlsutil.ClientOptions{
				CAFile: t.certs.ca, CertFile: who.cert, KeyFile: who.key, ServerName: serverName(c.name),
			})
			if err != nil {
				return err
			}
			for _, f := range d.Findings {
				fmt.Fprintf(w, "refused   %s: %s\n", c.name, f)
			}
			switch is := who == t.certs.observer; {
			case is && len(d.Findings) > 0:
				return fmt.Errorf("%s does not let in the observer", c.name)
			case is:
				fmt.Fprintf(w, "let in    %s: the observer\n", c.name)
			case !d.Has(want):
				return fmt.Errorf("%s does not say: %s", c.name, want)
			}
		}
	}
	return nil
}

// proveCut cuts an observee off, asks, mends it, and asks again.
func proveCut(ctx context.Context, t *topology, w io.Writer) (err error) {
	off := t.observees[1]
	if t.broken != breakCut {
		off.querier.link.cut()
	}
	defer func() { err = errors.Join(err, off.querier.link.mend()) }()
	m, outcome, err := t.recent(ctx, w)
	if err != nil {
		return err
	}
	if len(m) != len(t.clusters())-1 {
		return fmt.Errorf("want all clusters but %s, got %d", off.name, len(m))
	}
	failed := slices.ContainsFunc(outcome.Members(), func(m store.MemberOutcome) bool {
		return m.Member == "querier "+off.name && !m.Complete()
	})
	if outcome.Complete() || !failed {
		return errors.New("the answer is not marked partial, or does not say for want of whom")
	}
	for _, warning := range outcome.Warnings() {
		fmt.Fprintf(w, "warning   %v\n", warning)
	}
	if err := off.querier.link.mend(); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	for {
		notBack := t.top.Load().Sync(ctx) // Run does that, too, every 5 s.
		var out strings.Builder           // What is printed is the last answer.
		m, outcome, err := t.recent(ctx, &out)
		if err != nil {
			return err
		}
		if outcome.Complete() && len(m) == len(t.clusters()) {
			_, err := io.WriteString(w, out.String())
			return err
		}
		select {
		case <-time.After(100 * time.Millisecond):
		case <-ctx.Done():
			return fmt.Errorf("%s is not back: %w", off.name, errors.Join(ctx.Err(), notBack))
		}
	}
}

// recent asks for what no gateway has.
func (t *topology) recent(ctx context.Context, w io.Writer) (promql.Matrix, *store.Outcome, error) {
	return t.query(ctx, w, question{
		expr: `sum by (cluster) (rate(orders_total[2h]))`, from: t.end, to: t.end, step: promStep,
		opts: query.QueryOptions{StoreMatch: notGateways},
	})
}
