package promstore_test

import (
	"context"
	"errors"
	"net/http"
	"testing"
	"testing/synctest"
	"time"

	"github.com/efficientgo/core/testutil"

	"github.com/thanoskit/thanoskit/store"
	"github.com/thanoskit/thanoskit/store/promstore"
)

func TestFlags(t *testing.T) {
	t.Parallel()
	s := newScripted()
	s.set("flags", "application/json", `{"status":"success","data":{"storage.tsdb.path":"data/","web.enable-lifecycle":"false"}}`)
	got, err := s.store(t, "http://prometheus:9090/prefix", promstore.Options{}).Flags(t.Context())
	testutil.Ok(t, err)
	testutil.Equals(t, map[string]string{"storage.tsdb.path": "data/", "web.enable-lifecycle": "false"}, got)
	testutil.Equals(t, []string{"GET /prefix/api/v1/status/flags"}, s.asked())
}

func TestFlagsErrors(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		answer response
		is     error
		code   int
	}{
		"down":           {answer: response{err: errors.New("connection refused")}, is: store.ErrUnavailable},
		"starting":       {answer: response{code: http.StatusServiceUnavailable, contentType: "text/plain", body: "starting"}, is: store.ErrUnavailable, code: 503},
		"no endpoint":    {answer: response{code: http.StatusNotFound, contentType: "text/plain"}, code: 404},
		"not the API":    {answer: response{code: http.StatusOK, contentType: "text/html", body: "<html>"}, is: store.ErrMalformed},
		"other flags":    {answer: response{code: http.StatusOK, contentType: "application/json", body: `{"status":"success","data":["a"]}`}, is: store.ErrMalformed},
		"half an answer": {answer: response{code: http.StatusOK, contentType: "application/json", body: `{"status":"succ`}, is: store.ErrMalformed},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newScripted()
			s.setResponse("flags", tc.answer)
			_, err := s.store(t, "http://prometheus:9090", promstore.Options{Name: "p"}).Flags(t.Context())
			failed, ok := errors.AsType[*store.Error](err)
			testutil.Assert(t, ok, "%v", err)
			testutil.Equals(t, "p", failed.Store)
			testutil.Equals(t, "flags", failed.Op)
			if tc.is != nil {
				testutil.Assert(t, errors.Is(err, tc.is), "%v", err)
			}
			if status, ok := errors.AsType[*promstore.StatusError](err); ok || tc.code != 0 {
				testutil.Assert(t, ok, "%v", err)
				testutil.Equals(t, tc.code, status.Code)
			}
		})
	}
}

func TestFlagsOfASlowPrometheus(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := newScripted()
		s.setResponse("flags", response{hang: true})
		p := s.store(t, "http://prometheus:9090", promstore.Options{Timeout: time.Second})
		_, err := p.Flags(t.Context())
		testutil.Assert(t, errors.Is(err, store.ErrUnavailable), "%v", err)

		ctx, cancel := context.WithTimeout(t.Context(), time.Millisecond)
		defer cancel()
		_, err = p.Flags(ctx)
		testutil.Assert(t, errors.Is(err, context.DeadlineExceeded) && !errors.Is(err, store.ErrUnavailable), "%v", err)
	})
}
