package main

import (
	"errors"
	"os"
	"path/filepath"
	"strconv"
	"time"

	"github.com/oklog/ulid/v2"
	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/labels"

	"github.com/thanoskit/thanoskit/block"
	"github.com/thanoskit/thanoskit/block/shipper"
)

// scale is how much history there is.
type scale struct {
	age       time.Duration // of the oldest; 0 is none, and no proofs of it
	step      time.Duration // between samples
	instances int           // of the shop, with two series each
}

var fullScale = scale{age: 120 * day, step: time.Minute, instances: 4}

// historyRange is that of blocks of the history: more than the 40 hours from which
// on they are downsampled to 5m, less than the 10 days for 1h. So that is made
// when 5m data has had its time.
const historyRange = 8 * day

// holesEvery is the time from one hole of a replica to the next.
const holesEvery = 4 * time.Hour

// phases are when in each minute the replicas scrape.
var phases = []time.Duration{0, 25 * time.Second}

// down tells when a replica is not there: for the first hour of every four, b two
// hours after a.
func (t *topology) down(replica int, at time.Time) bool {
	if replica == 1 && t.broken != breakHistory {
		at = at.Add(holesEvery / 2)
	}
	return at.Sub(at.Truncate(holesEvery)) < time.Hour
}

// Each instance of the shop gets orders at a constant rate, as many fifths of one
// in a second as its number; its queue goes from 0 to 6 and starts again.
func (t *topology) orders(instance int, at time.Time) float64 {
	return at.Sub(t.start).Seconds() * float64(instance+1) / 5
}

func (t *topology) queue(instance int, at time.Time) float64 {
	return float64((at.Unix()/60 + int64(instance)) % 7)
}

// ordersPerSecond is those of all instances of a cluster.
func (s scale) ordersPerSecond() (all float64) {
	for i := range s.instances {
		all += float64(i+1) / 5
	}
	return all
}

func instance(i int) string { return "shop-" + strconv.Itoa(i) }

// scraped returns what a replica gets of the shop at a time.
func (t *topology) scraped(at time.Time) (samples model.Vector) {
	for i := range t.scale.instances {
		name := model.LabelValue(instance(i))
		samples = append(samples,
			&model.Sample{Metric: model.Metric{"__name__": "orders_total", "instance": name, "job": "shop"}, Value: model.SampleValue(t.orders(i, at))},
			&model.Sample{Metric: model.Metric{"__name__": "queue_length", "instance": name, "job": "shop"}, Value: model.SampleValue(t.queue(i, at))})
	}
	return samples
}

// uploadHistory writes the blocks that a replica had before it began to be live,
// and uploads them as its sidecar would have.
func (t *topology) uploadHistory(c *cluster, replica int, external labels.Labels) (err error) {
	if t.broken == breakUpload || t.scale.age == 0 {
		return nil
	}
	dir := filepath.Join(c.dir, "history-"+external.Get(replicaLabel))
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	for from := t.start; from.Before(t.live); {
		to := from.Truncate(historyRange).Add(historyRange)
		if to.After(t.live) {
			to = t.live
		}
		if err := t.writeBlock(dir, replica, from, to); err != nil {
			return err
		}
		from = to
	}
	ship, err := shipper.New(c.bucket, dir, &shipper.Options{ExternalLabels: func() labels.Labels { return external }})
	if err != nil {
		return err
	}
	_, err = ship.Sync(t.ctx)
	return err
}

// writeBlock writes what a replica scraped from one time to another, exclusive.
func (t *topology) writeBlock(dir string, replica int, from, to time.Time) error {
	var series []block.Series
	for i := range t.scale.instances {
		for name, value := range map[string]func(int, time.Time) float64{"orders_total": t.orders, "queue_length": t.queue} {
			var enc block.ChunkEncoder
			for at := from.Add(phases[replica]); at.Before(to); at = at.Add(t.scale.step) {
				if t.down(replica, at) {
					continue
				}
				if err := enc.Float(at.UnixMilli(), value(i, at)); err != nil {
					return err
				}
			}
			if chunks := enc.Chunks(); len(chunks) > 0 {
				series = append(series, block.Series{Labels: labels.FromStrings("__name__", name, "instance", instance(i), "job", "shop"), Chunks: chunks})
			}
		}
	}
	_, err := block.WriteBlock(dir, &block.Meta{ULID: ulid.Make(), MinTime: from.UnixMilli(), MaxTime: to.UnixMilli(), Compaction: block.Compaction{Level: 1}}, series, nil)
	return err
}
