package grpcstore_test

import (
	"github.com/thanoskit/thanoskit/store"
)

// collector keeps what a plain reader gets.
type collector struct {
	series   []*store.Series
	warnings []error
	err      error // returned by Send
}

func (c *collector) Send(s *store.Series) error {
	c.series = append(c.series, s)
	return c.err
}

func (c *collector) Warn(err error) error {
	c.warnings = append(c.warnings, err)
	return nil
}
