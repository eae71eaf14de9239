package program

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"net"
	"strings"
	"syscall"
	"testing"

	"github.com/efficientgo/core/testutil"

	"github.com/thanoskit/thanoskit/store/grpcstore"
	"github.com/thanoskit/thanoskit/store/memstore"
)

// logged is a program that logs to a buffer, and listens nowhere in particular.
func logged(t *testing.T) (*Program, *bytes.Buffer) {
	t.Helper()
	var log bytes.Buffer
	p := NewHTTP("test")
	p.Log = slog.New(slog.NewTextHandler(&log, nil))
	testutil.Ok(t, p.Flags.Parse([]string{"--http-address=127.0.0.1:0"}))
	return p, &log
}

func isReady(context.Context) error { return nil }

// readyLog hands on what a program logs, and where it listens once it is ready.
type readyLog struct {
	slog.Handler
	addrs chan map[string]string // by "grpc" and "http"
}

// logsReady has a program tell where it listens, once.
func logsReady(p *Program, log slog.Handler) readyLog {
	r := readyLog{log, make(chan map[string]string, 1)}
	p.Log = slog.New(r)
	return r
}

func (r readyLog) Enabled(context.Context, slog.Level) bool { return true }

func (r readyLog) Handle(ctx context.Context, rec slog.Record) error {
	if rec.Message == "ready" {
		addrs := map[string]string{}
		rec.Attrs(func(a slog.Attr) bool {
			addrs[a.Key] = a.Value.String()
			return true
		})
		r.addrs <- addrs
	}
	return r.Handler.Handle(ctx, rec)
}

// await waits until the program is ready, which must not end before.
func (r readyLog) await(t *testing.T, ended <-chan error) map[string]string {
	t.Helper()
	select {
	case addrs := <-r.addrs:
		return addrs
	case err := <-ended:
		t.Fatalf("program ended: %v", err)
		return nil
	}
}

// What ends a program is logged, once.
func TestEndIsLogged(t *testing.T) {
	p, log := logged(t)
	testutil.Ok(t, untilSignal(p, func(ctx context.Context, p *Program) error {
		p.Go(func(ctx context.Context) error {
			if err := syscall.Kill(syscall.Getpid(), syscall.SIGTERM); err != nil {
				return err
			}
			<-ctx.Done()
			return nil
		})
		return p.ServeHTTP(ctx, nil, isReady)
	}))
	testutil.Equals(t, 1, strings.Count(log.String(), "shutting down"), log.String())
	testutil.Assert(t, strings.Contains(log.String(), `level=INFO msg="shutting down" signal=terminated`), log.String())
	testutil.Assert(t, !p.failed.Load(), "what fails after a signal would not be logged")

	cause := errors.New("disk is full")
	for _, tc := range []struct {
		err  error
		want string
	}{{cause, `level=ERROR msg="shutting down" err="disk is full"`}, {ErrDone, `level=INFO msg="shutting down" reason=done`}} {
		p, log := logged(t)
		err := untilSignal(p, func(ctx context.Context, p *Program) error {
			p.Go(func(context.Context) error { return tc.err })
			return p.ServeHTTP(ctx, nil, isReady)
		})
		testutil.Equals(t, errors.Is(tc.err, cause), errors.Is(err, cause), "%v", err)
		testutil.Equals(t, 1, strings.Count(log.String(), "shutting down"), log.String())
		testutil.Assert(t, strings.Contains(log.String(), tc.want) && p.ending.Load(), log.String())
		testutil.Equals(t, errors.Is(tc.err, cause), p.failed.Load())
	}

	// Who does not get as far leaves it to the caller.
	p, log = logged(t)
	err := untilSignal(p, func(context.Context, *Program) error { return cause })
	testutil.Assert(t, errors.Is(err, cause) && !p.ending.Load() && !p.failed.Load() && log.Len() == 0, "%v %s", err, log)
}

// A program that cannot listen on one of its addresses starts nothing, and does not
// say that it is ready.
func TestAddressIsTaken(t *testing.T) {
	t.Parallel()
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	testutil.Ok(t, err)
	defer taken.Close()
	for side, args := range map[string][]string{
		"gRPC": {"--grpc-address=" + taken.Addr().String(), "--http-address=127.0.0.1:0"},
		"HTTP": {"--http-address=" + taken.Addr().String(), "--grpc-address=127.0.0.1:0"},
	} {
		var log bytes.Buffer
		p := New("test")
		p.Log = slog.New(slog.NewTextHandler(&log, nil))
		p.Go(func(context.Context) error { t.Error("it was started"); return nil })
		testutil.Ok(t, p.Flags.Parse(args))
		err := p.Serve(t.Context(), memstore.New(nil), grpcstore.ServerOptions{}, nil, func(context.Context) error { t.Error("it was asked"); return nil })
		testutil.Assert(t, errors.Is(err, syscall.EADDRINUSE) && strings.Contains(err.Error(), "listen for "+side+": listen tcp "+taken.Addr().String()), "%v", err)
		testutil.Equals(t, "", log.String())
	}
	p := NewHTTP("test")
	p.Log = silent
	testutil.Ok(t, p.Flags.Parse([]string{"--http-address=" + taken.Addr().String()}))
	testutil.Assert(t, errors.Is(p.ServeHTTP(t.Context(), nil, isReady), syscall.EADDRINUSE))
}
