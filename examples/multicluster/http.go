package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"time"

	"github.com/thanoskit/thanoskit/query/httpapi"
)

// serveHTTP serves the top querier until the topology ends.
func (t *topology) serveHTTP(w io.Writer, addr string) error {
	api, err := httpapi.New(t.querier, &httpapi.Options{AllowOrigin: "*", BuildInfo: httpapi.BuildInfo{Version: "3.9.1"}})
	if err != nil {
		return err
	}
	l, err := net.Listen("tcp", addr)
	if err != nil {
		return fmt.Errorf("listen for HTTP: %w", err)
	}
	srv := &http.Server{Handler: api, ReadHeaderTimeout: 5 * time.Second}
	t.run.Go(func() error {
		if err := srv.Serve(l); !errors.Is(err, http.ErrServerClosed) {
			return fmt.Errorf("serve HTTP: %w", err)
		}
		return nil
	})
	fmt.Fprintf(w, "serving Prometheus' HTTP API on http://%s until interrupted\n", l.Addr())
	<-t.ctx.Done()
	ctx, cancel := context.WithTimeout(context.WithoutCancel(t.ctx), 5*time.Second)
	defer cancel()
	return srv.Shutdown(ctx)
}
