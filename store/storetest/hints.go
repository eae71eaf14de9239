package storetest

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/thanoskit/thanoskit/store"
)

func hintChecks() []check {
	return []check{
		{name: "hints", doc: "Hints about the query do not change what is sent, as long as they ask for all labels.", run: checkHints},
		{name: "hints-unknown", doc: "Hints of an unknown type are ignored, or refused as ErrInvalidRequest.", run: checkUnknownHints},
	}
}

func checkHints(ctx context.Context, p *probe) error {
	a, err := p.all(ctx)
	if err != nil {
		return err
	}
	for _, h := range []store.QueryHints{
		{Func: "rate", Range: 5 * time.Minute, Step: time.Minute},
		{Func: "series"},
		{Func: "sum", Grouping: []string{"job"}, By: true},
		{ProjectionLabels: namesOf(a.labelSets()), ProjectionInclude: true},
	} {
		req := p.request()
		req.Hints = &h
		if err := p.compareSame(ctx, a, req); err != nil {
			return err
		}
	}
	return nil
}

func checkUnknownHints(ctx context.Context, p *probe) error {
	a, err := p.all(ctx)
	if err != nil {
		return err
	}
	req := p.request()
	req.StoreHints = &store.Any{TypeURL: "type.googleapis.com/storetest.NoSuchHints", Value: []byte{1, 2, 3}}
	got, err := p.ask(ctx, req)
	if errors.Is(err, store.ErrInvalidRequest) {
		return nil
	}
	if err != nil {
		return err
	}
	if diff := p.diffAnswers(a, got); diff != "" {
		return fmt.Errorf("asked for %s: %s", describeRequest(req), diff)
	}
	return nil
}
