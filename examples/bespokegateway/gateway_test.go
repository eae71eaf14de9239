package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/efficientgo/core/testutil"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/tsdb/chunkenc"

	"github.com/thanoskit/thanoskit/store"
)

func at(t *testing.T, s string) int64 {
	t.Helper()
	x, err := time.Parse(time.RFC3339, s)
	testutil.Ok(t, err)
	return x.UnixMilli()
}

func TestGateway(t *testing.T) {
	s := store.Wrap(gateway{"testdata"}, store.WithExternalLabels(labels.FromStrings("a", "x")), store.WithSorting())
	req := &store.SeriesRequest{MinTime: at(t, "2026-01-01T00:01:00Z"), MaxTime: at(t, "2026-01-01T00:02:00Z")}
	var got []string
	for series, err := range store.All(t.Context(), s, req, nil) {
		testutil.Ok(t, err)
		line := series.Labels.String()
		for _, c := range series.Chunks {
			data, err := c.Raw.Chunk()
			testutil.Ok(t, err)
			for it := data.Iterator(nil); it.Next() != chunkenc.ValNone; {
				_, v := it.At()
				line += fmt.Sprint(" ", v)
			}
		}
		got = append(got, line)
	}
	testutil.Equals(t, []string{
		`{__name__="power_watts", a="x", column="boiler"} 0 0`,
		`{__name__="temperature_celsius", a="x", column="attic"} 14 14.5`,
		`{__name__="temperature_celsius", a="x", column="kitchen"} 20.75 21`,
	}, got)

	values, err := store.LabelValues(t.Context(), s, &store.LabelValuesRequest{Label: "column", MinTime: req.MinTime, MaxTime: req.MaxTime})
	testutil.Ok(t, err)
	testutil.Equals(t, []string{"attic", "boiler", "kitchen"}, values)
}

func TestGatewayNamesWhatIsWrong(t *testing.T) {
	dir := t.TempDir()
	for name, tc := range map[string]struct{ csv, want string }{
		"value": {"time,a\n2026-01-01T00:00:00Z,x\n", "line 2: strconv.ParseFloat"},
		"time":  {"time,a\nyesterday,1\n", "line 2: parsing time"},
		"order": {"time,a\n2026-01-01T00:00:01Z,1\n2026-01-01T00:00:00Z,1\n", "follows"},
		"shape": {"time,a\n2026-01-01T00:00:01Z\n", "wrong number of fields"},
	} {
		file := filepath.Join(dir, "m.csv")
		testutil.Ok(t, os.WriteFile(file, []byte(tc.csv), 0o600))
		for _, err := range store.All(t.Context(), gateway{dir}, &store.SeriesRequest{MaxTime: 1 << 60}, nil) {
			testutil.Assert(t, err != nil && strings.Contains(err.Error(), file) && strings.Contains(err.Error(), tc.want), "%s: %v", name, err)
		}
	}
}
