package clusters

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/efficientgo/core/testutil"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"

	"github.com/thanoskit/thanoskit/store/grpcstore"
	"github.com/thanoskit/thanoskit/tlsutil"
)

// refuses fails unless ingresses, and the querier that demands certificates itself,
// let in whom the observer's CA vouches for, and nobody else.
func (w *world) refuses(when string) {
	w.Helper()
	for _, at := range []struct{ cluster, addr, what string }{
		{"eu", w.links["eu"].addr, "ingress"},
		{"us", w.links["us"].addr, "ingress"},
		{"eu", w.part("querier-eu").grpc, "querier"},
	} {
		for client, want := range map[string]tlsutil.Problem{"observer": "", "": tlsutil.ProblemNoClientCert, "stranger": tlsutil.ProblemClientCert} {
			who := fmt.Sprintf("%s: %s of %s asked by %q", when, at.what, at.cluster, client)
			profile := w.pki.client(client, at.cluster)
			d, err := tlsutil.Doctor(w.Context(), at.addr, profile)
			testutil.Ok(w, err)
			if len(d.Findings) > 1 || want != "" != d.Has(want) {
				w.Errorf("%s: want %q: %s", who, want, d)
			}
			if err := w.describe(at.addr, profile); (err == nil) != (want == "") {
				w.Errorf("%s: Info says %v", who, err)
			}
		}
	}
}

// describe asks what a StoreAPI holds.
func (w *world) describe(addr string, profile *tlsutil.ClientOptions) (err error) {
	tls, err := tlsutil.NewClient(profile)
	if err != nil {
		return err
	}
	creds := credentials.NewTLS(tls.Config(profile.ServerName))
	c, err := grpcstore.Dial(addr, &grpcstore.ClientOptions{DialOptions: []grpc.DialOption{grpc.WithTransportCredentials(creds)}})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, c.Close()) }()
	info, err := c.Describe(w.Context())
	if err == nil && len(info.LabelSets) != len(replicas) {
		err = fmt.Errorf("it holds %s", info.LabelSets)
	}
	return err
}

// cut has the link to an observee be in trouble, and fails unless the answers say so,
// in every way there is to ask, and are whole again afterwards.
func (w *world) cut(when, cluster string, x trouble, want map[string]*answer) {
	w.Helper()
	when = fmt.Sprintf("%s: link to %s %s", when, cluster, x)
	began := time.Now()
	l := w.links[cluster]
	testutil.Ok(w, l.set(x))
	defer func() { testutil.Ok(w, l.set(well)) }()
	for _, q := range w.questions() {
		// What scrapes brought is nowhere but in the observee; each question about it
		// takes two timeouts while the link stalls, so there is one.
		if !strings.HasPrefix(q.name, "scrapes") || x == stalls && (q.params.Get("dedup") != "true" || q.lines != 6) {
			continue
		}
		w.partial(when, &q, cluster, want[q.String()])
	}
	if x != stalls { // Thanos waits for the end of the query then.
		for _, q := range w.labelQuestions() {
			if strings.Contains(q.name, ", scrapes") {
				w.partial(when, &q, cluster, want[q.String()])
			}
		}
	}
	if err := l.set(well); err != nil {
		w.Fatalf("%s: mend: %v", when, err)
	}
	w.same(when+", mended", want)
	w.Logf("%s: %s", when, time.Since(began).Round(time.Millisecond))
}

// partial fails unless what is answered without a cluster is what is wanted without
// it, says for want of whom it is partial, and is an error if it must not be partial.
func (w *world) partial(when string, q *question, cluster string, want *answer) {
	w.Helper()
	addr, l := w.part("top").http, w.links[cluster]
	rest := want.without(w, cluster)
	ctx, cancel := context.WithTimeout(w.Context(), settles)
	defer cancel()
	// Thanos v0.42.4 collects the warnings of /api/v1/series before it has asked anybody.
	unmarked := q.path == "series" && w.part("top").kind == thanos
	err := await(ctx, func() error {
		got, err := ask(ctx, addr, q)
		switch {
		case err != nil:
			return err
		case unmarked:
		case got.whole():
			w.Errorf("%s: %s: the answer says that it is whole:\n%s", when, q, diff(want, got))
			return nil
		case !strings.Contains(strings.Join(got.warnings, "\n"), l.addr):
			return fmt.Errorf("want a warning of %s, got %q", l.addr, got.warnings)
		}
		if rest.text != got.text { // Somebody else may be slow.
			return errors.New(diff(rest, got))
		}
		return nil
	})
	if err != nil {
		w.Fatalf("%s: %s: %v", when, q, err)
	}
	err = await(ctx, func() error {
		got, err := ask(ctx, addr, q, "partial_response", "false")
		if err == nil {
			w.Errorf("%s: %s: want an error with partial_response=false, got\n%.2000s", when, q, got.text)
			return nil
		}
		var status *statusError
		if !errors.As(err, &status) || !strings.Contains(status.text, l.addr) { // As above.
			return fmt.Errorf("want an error with partial_response=false that names %s, got %w", l.addr, err)
		}
		return nil
	})
	if err != nil {
		w.Fatalf("%s: %s: %v", when, q, err)
	}
}

// without is the answer without the lines of a cluster: its series, and its
// instances, which are its Prometheus.
func (a *answer) without(w *world, cluster string) *answer {
	not := []string{fmt.Sprintf(`"cluster":%q`, cluster)}
	for _, r := range replicas {
		not = append(not, fmt.Sprintf("%q", w.part("prometheus-"+cluster+"-"+r).http))
	}
	lines := slices.DeleteFunc(a.lines(), func(line string) bool {
		return slices.ContainsFunc(not, func(s string) bool { return strings.Contains(line, s) })
	})
	return &answer{text: strings.Join(lines, "\n")}
}
