package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/thanoskit/thanoskit/query"
	"github.com/thanoskit/thanoskit/query/httpapi"
)

// serveHTTP serves what a querier answers.
func (u *unit) serveHTTP(q *query.Querier) error {
	api, err := httpapi.New(q, &httpapi.Options{AllowOrigin: "*", BuildInfo: httpapi.BuildInfo{Version: "3.9.1"}})
	if err != nil {
		return err
	}
	l, err := u.listen(u.topology.http)
	if err != nil {
		return fmt.Errorf("listen for HTTP: %w", err)
	}
	srv := &http.Server{Handler: api, ReadHeaderTimeout: 5 * time.Second}
	u.Go(func(context.Context) error {
		if err := srv.Serve(l); !errors.Is(err, http.ErrServerClosed) {
			return fmt.Errorf("serve HTTP: %w", err)
		}
		return nil
	})
	u.Go(func(ctx context.Context) error {
		<-ctx.Done()
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
		defer cancel()
		return srv.Shutdown(ctx)
	})
	return nil
}
