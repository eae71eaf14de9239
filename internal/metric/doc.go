// Package metric registers metrics without panics: of those that are
// registered already, the registered ones are used.
//
//	err := errors.Join(metric.Register(reg, &m.requests), metric.Register(reg, &m.frames))
package metric
