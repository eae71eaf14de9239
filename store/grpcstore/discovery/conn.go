package discovery

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strings"
	"sync"
	"time"

	"github.com/prometheus/prometheus/model/labels"
	"google.golang.org/grpc"

	"github.com/thanoskit/thanoskit/store"
	"github.com/thanoskit/thanoskit/store/grpcstore"
	"github.com/thanoskit/thanoskit/tlsutil"
)

// connKey is all that decides whether two members can share a connection.
type connKey struct {
	name          string
	target        target
	profile       profile
	serviceConfig string
	served        string // what it may serve
}

// conn is a member's connection, which knows whether it is used. It is safe for
// concurrent use.
type conn struct {
	*grpcstore.Client
	member store.Store // the conn, held to what it may serve

	mu     sync.Mutex
	calls  int
	since  time.Time // when the last call ended, or the connection was given up
	closed bool
}

var (
	_ store.Store        = (*conn)(nil)
	_ store.LabelQuerier = (*conn)(nil)
	_ store.Describer    = (*conn)(nil)
)

// errGone is what is wrong with a member that somebody holds on to.
var errGone = errors.New("endpoint is no longer configured or found")

func (c *conn) enter(op string) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed {
		return &store.Error{Store: c.Name(), Op: op, Err: fmt.Errorf("%w: %w", store.ErrUnavailable, errGone)}
	}
	c.calls++
	return nil
}

func (c *conn) leave() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.calls--
	c.since = time.Now()
}

// retire begins the time after which the connection may be closed.
func (c *conn) retire() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.since = time.Now()
}

// closeIdle closes the connection if no call runs and none ended within grace, and
// reports whether it did.
func (c *conn) closeIdle(grace time.Duration) (bool, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.calls > 0 || time.Since(c.since) < grace {
		return false, nil
	}
	c.closed = true
	return true, c.Client.Close()
}

// Close closes the connection, whatever runs on it.
func (c *conn) Close() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.closed = true
	return c.Client.Close()
}

// Series is that of the client.
func (c *conn) Series(ctx context.Context, req *store.SeriesRequest, w store.SeriesWriter) error {
	if err := c.enter("series"); err != nil {
		return err
	}
	defer c.leave()
	return c.Client.Series(ctx, req, w)
}

// LabelNames is that of the client.
func (c *conn) LabelNames(ctx context.Context, req *store.LabelNamesRequest) ([]string, error) {
	if err := c.enter("label names"); err != nil {
		return nil, err
	}
	defer c.leave()
	return c.Client.LabelNames(ctx, req)
}

// LabelValues is that of the client.
func (c *conn) LabelValues(ctx context.Context, req *store.LabelValuesRequest) ([]string, error) {
	if err := c.enter("label values"); err != nil {
		return nil, err
	}
	defer c.leave()
	return c.Client.LabelValues(ctx, req)
}

// Describe is that of the client.
func (c *conn) Describe(ctx context.Context) (store.Info, error) {
	if err := c.enter("info"); err != nil {
		return store.Info{}, err
	}
	defer c.leave()
	return c.Client.Describe(ctx)
}

// absent stands for members of which it is not known who they are.
type absent struct {
	name string
	err  error
}

func (a absent) fail(op string) error {
	return &store.Error{Store: a.name, Op: op, Err: fmt.Errorf("%w: %w", store.ErrUnavailable, a.err)}
}

func (a absent) Series(context.Context, *store.SeriesRequest, store.SeriesWriter) error {
	return a.fail("series")
}

func (a absent) LabelNames(context.Context, *store.LabelNamesRequest) ([]string, error) {
	return nil, a.fail("label names")
}

func (a absent) LabelValues(context.Context, *store.LabelValuesRequest) ([]string, error) {
	return nil, a.fail("label values")
}

func (a absent) Describe(context.Context) (store.Info, error) {
	return store.Info{}, a.fail("info")
}

// conn returns the connection that there is, was given up and is still open, or
// can be made.
func (s *Source) conn(k *connKey, served []*labels.Matcher) (*conn, error) {
	c, ok := s.conns[*k]
	if !ok {
		c, ok = s.retired[*k]
		delete(s.retired, *k)
	}
	if !ok {
		var err error
		if c, err = s.dial(k); err != nil {
			return nil, err
		}
		c.member = store.Wrap(c, store.WithServed(served...))
	}
	s.conns[*k] = c
	return c, nil
}

// dial makes a connection.
func (s *Source) dial(k *connKey) (*conn, error) {
	opts := s.opts.Client
	opts.Name = k.name
	opts.Compression = k.profile.compression
	if opts.Compression == compressionNone {
		opts.Compression = ""
	}
	dial, err := s.credentials(k)
	if err != nil {
		return nil, err
	}
	address := k.target.dial
	if k.target.authority != "" {
		address = "passthrough:///" + address
		if k.profile.serverName == "" {
			dial = append(dial, grpc.WithAuthority(k.target.authority))
		}
	}
	if k.serviceConfig != "" {
		dial = append(dial, grpc.WithDefaultServiceConfig(k.serviceConfig), grpc.WithDisableServiceConfig())
	}
	opts.DialOptions = append(dial, opts.DialOptions...)
	c, err := grpcstore.Dial(address, &opts)
	if err != nil {
		return nil, err
	}
	return &conn{Client: c}, nil
}

// credentials are those of a profile; none for plain text.
func (s *Source) credentials(k *connKey) ([]grpc.DialOption, error) {
	p := k.profile
	if !p.tls {
		return nil, nil
	}
	p.compression = "" // the same files for the same TLS
	client := s.tls[p]
	if client == nil {
		version, err := tlsutil.ParseVersion(p.minVersion)
		if err != nil {
			return nil, err
		}
		client, err = tlsutil.NewClient(&tlsutil.ClientOptions{
			CAFile: p.caFile, CertFile: p.certFile, KeyFile: p.keyFile, ServerName: p.serverName,
			MinVersion: version, InsecureSkipVerify: p.skipVerify, Logger: s.opts.Logger,
		})
		if err != nil {
			return nil, err
		}
		s.tls[p] = client
	}
	host := hostOf(first(k.target.authority, k.target.dial))
	return []grpc.DialOption{grpc.WithTransportCredentials(grpcstore.TLS(client, host))}, nil
}

// hostOf returns the host of host:port, which may be behind the scheme of a gRPC
// target.
func hostOf(address string) string {
	address = address[strings.LastIndex(address, "/")+1:]
	if host, _, err := net.SplitHostPort(address); err == nil {
		return host
	}
	return address
}

// reap closes connections that were given up and are not used any more.
func (s *Source) reap() error {
	var errs []error
	for k, c := range s.retired {
		done, err := c.closeIdle(s.opts.Grace)
		if done {
			delete(s.retired, k)
		}
		errs = append(errs, err)
	}
	return errors.Join(errs...)
}
