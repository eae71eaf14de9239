package metric

import (
	"errors"

	"github.com/prometheus/client_golang/prometheus"
)

// Register registers *c, or sets it to the collector that was registered for the
// same before. It does nothing if reg is nil.
//
// Errors: the registerer's, among those that of another collector by that name.
func Register[C prometheus.Collector](reg prometheus.Registerer, c *C) error {
	if reg == nil {
		return nil
	}
	err := reg.Register(*c)
	if already, ok := errors.AsType[prometheus.AlreadyRegisteredError](err); ok {
		if existing, ok := already.ExistingCollector.(C); ok {
			*c = existing
			return nil
		}
	}
	return err
}
