package program

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"strings"
	"syscall"
	"testing"

	"github.com/efficientgo/core/testutil"
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
