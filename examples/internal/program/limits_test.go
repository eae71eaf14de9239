package program

import (
	"errors"
	"flag"
	"fmt"
	"testing"

	"github.com/efficientgo/core/testutil"
	"github.com/prometheus/prometheus/model/labels"

	"github.com/thanoskit/thanoskit/store"
	"github.com/thanoskit/thanoskit/store/memstore"
)

func TestLimits(t *testing.T) {
	s := memstore.New(nil)
	for i := range 3 {
		for j := range int64(240) { // two chunks
			testutil.Ok(t, s.Append(labels.FromStrings("__name__", "up", "pod", fmt.Sprint(i)), j*1000, 1))
		}
	}
	for _, tc := range []struct {
		flags []string
		limit string // empty if the answer is within the limits
	}{
		{nil, ""},
		{[]string{"-store.limits.request-series=3", "-store.limits.request-samples=720", "-store.limits.request-bytes=100000"}, ""},
		{[]string{"-store.limits.request-series=2"}, "series limit of 2 exceeded"},
		{[]string{"-store.limits.request-samples=719"}, "chunks limit of 5 exceeded"},
		{[]string{"-store.limits.request-samples=1"}, "chunks limit of 1 exceeded"},
		{[]string{"-store.limits.request-bytes=50"}, "bytes limit of 50 exceeded"},
	} {
		flags := flag.NewFlagSet("", flag.ContinueOnError)
		l := newLimits(flags)
		testutil.Ok(t, flags.Parse(tc.flags))
		var err error
		for _, err = range store.All(t.Context(), l.wrap(s), &store.SeriesRequest{MaxTime: 1e9}, nil) {
			if err != nil {
				break
			}
		}
		if tc.limit == "" {
			testutil.Ok(t, err)
			continue
		}
		testutil.Assert(t, errors.Is(err, store.ErrLimit))
		testutil.Equals(t, tc.limit, err.Error())
	}
}
