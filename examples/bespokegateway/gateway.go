package main

import (
	"context"
	"encoding/csv"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/prometheus/prometheus/model/labels"

	"github.com/thanoskit/thanoskit/store"
)

// gateway is a directory of CSV files as a Store. Order, external labels, label
// APIs, limits and the protocol are thanoskit's business.
type gateway struct{ dir string }

func (g gateway) Series(ctx context.Context, req *store.SeriesRequest, w store.SeriesWriter) error {
	files, err := filepath.Glob(filepath.Join(g.dir, "*.csv"))
	for _, file := range files {
		if err := errors.Join(ctx.Err(), g.file(file, req, w)); err != nil {
			return fmt.Errorf("read %s: %w", file, err)
		}
	}
	return err
}

// file sends each column as a series.
func (g gateway) file(path string, req *store.SeriesRequest, w store.SeriesWriter) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer f.Close()
	rows, err := csv.NewReader(f).ReadAll()
	if err != nil || len(rows) == 0 {
		return err
	}
	metric := strings.TrimSuffix(filepath.Base(path), ".csv")
	for col := 1; col < len(rows[0]); col++ {
		lset := labels.FromStrings("__name__", metric, "column", rows[0][col])
		if !req.Matches(lset) {
			continue
		}
		var ts []int64
		var vs []float64
		for i, row := range rows[1:] {
			t, errT := time.Parse(time.RFC3339, row[0])
			v, errV := strconv.ParseFloat(row[col], 64)
			if err := errors.Join(errT, errV); err != nil {
				return fmt.Errorf("line %d: %w", i+2, err)
			}
			if ms := t.UnixMilli(); ms >= req.MinTime && ms <= req.MaxTime {
				ts, vs = append(ts, ms), append(vs, v)
			}
		}
		chunks, err := store.FloatChunks(ts, vs)
		if err != nil {
			return err
		}
		if len(chunks) > 0 {
			if req.SkipChunks {
				chunks = nil
			}
			if err := w.Send(&store.Series{Labels: lset, Chunks: chunks}); err != nil {
				return err
			}
		}
	}
	return nil
}
