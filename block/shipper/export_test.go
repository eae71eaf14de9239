package shipper

import "github.com/prometheus/prometheus/tsdb/fileutil"

// SetStep has a function called before each step that changes the data
// directory; the step is not taken if it returns an error.
func (s *Shipper) SetStep(step func(op string) error) { s.step = step }

// SetLink replaces os.Link.
func (s *Shipper) SetLink(link func(from, to string) error) { s.link = link }

// SetFlock replaces fileutil.Flock.
func (s *Shipper) SetFlock(flock func(path string) (fileutil.Releaser, bool, error)) { s.flock = flock }

// Verdicts returns how many blocks a shipper remembers its findings of.
func (s *Shipper) Verdicts() int { return len(s.verdicts) }
