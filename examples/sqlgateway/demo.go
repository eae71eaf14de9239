package main

import (
	"context"
	"database/sql"
	"fmt"
	"math"
	"time"

	"github.com/efficientgo/core/errcapture"
)

// demoSchema is that of the demo data, and what the flags say by default.
func demoSchema() schema {
	return schema{Table: "samples", Time: "time_ms", Value: "value", Labels: map[string]string{"__name__": "metric", "room": "room", "sensor": "sensor"}}
}

// demo fills an empty database with the last six hours of a house: a few rooms,
// one of them with two sensors, and power without a room.
func demo(ctx context.Context, db *sql.DB, now time.Time) (err error) {
	const create = `CREATE TABLE samples (metric TEXT, room TEXT, sensor TEXT, time_ms INTEGER, value REAL);
		CREATE INDEX by_labels ON samples (metric, room, time_ms)`
	if _, err := db.ExecContext(ctx, create); err != nil {
		return fmt.Errorf("make demo table: %w", err)
	}
	tx, err := db.BeginTx(ctx, nil)
	if err != nil {
		return fmt.Errorf("fill demo table: %w", err)
	}
	defer func() {
		if err != nil {
			errcapture.Do(&err, tx.Rollback, "roll back")
		}
	}()
	insert, err := tx.PrepareContext(ctx, "INSERT INTO samples VALUES (?, ?, ?, ?, ?)")
	if err != nil {
		return fmt.Errorf("fill demo table: %w", err)
	}
	defer errcapture.Do(&err, insert.Close, "close statement")
	for t := now.Add(-6 * time.Hour).Truncate(30 * time.Second); !t.After(now); t = t.Add(30 * time.Second) {
		day := math.Sin(2 * math.Pi * float64(t.Unix()%86400) / 86400)
		for _, row := range []struct {
			metric       string
			room, sensor any
			value        float64
		}{
			{"temperature_celsius", "attic", nil, 24 + 4*day},
			{"temperature_celsius", "kitchen", "oven", 22 + day},
			{"temperature_celsius", "kitchen", "window", 19 + 3*day},
			{"power_watts", nil, nil, 300 + 100*day},
		} {
			if _, err := insert.ExecContext(ctx, row.metric, row.room, row.sensor, t.UnixMilli(), row.value); err != nil {
				return fmt.Errorf("fill demo table: %w", err)
			}
		}
	}
	return tx.Commit()
}
