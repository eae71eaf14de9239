package compact

import (
	"fmt"
	"sync"
	"time"
)

// Progress is how far a run has come with the jobs of its plan. What follows from
// them, [Plan.Remaining] estimates.
type Progress struct {
	// Jobs is how many have ended of Total, Running how many run.
	Jobs, Running, Total int
	// Bytes is how many bytes of sources belong to jobs that have ended, of
	// TotalBytes, as far as meta.json files say how large blocks are.
	Bytes, TotalBytes int64
	// Left is how long the others will take at the pace of those before, 0 if that is
	// not known yet.
	Left time.Duration
}

// String returns one line: "3 of 12 jobs, 40% of 12.0 GiB, 5m0s left".
func (p Progress) String() string {
	if p.Total == 0 {
		return "nothing to do"
	}
	s := fmt.Sprintf("%d of %d jobs", p.Jobs, p.Total)
	if p.TotalBytes > 0 {
		s += fmt.Sprintf(", %d%% of %s", 100*p.Bytes/p.TotalBytes, bytesText(p.TotalBytes))
	}
	if p.Left > 0 {
		s += fmt.Sprintf(", %s left", p.Left.Round(time.Second))
	}
	return s
}

// bytesText is a number of bytes as people read it.
func bytesText(n int64) string {
	v, unit := float64(n), 0
	for v >= 1024 && unit < 4 {
		v /= 1024
		unit++
	}
	return fmt.Sprintf("%.1f %s", v, [...]string{"B", "KiB", "MiB", "GiB", "TiB"}[unit])
}

// Progress returns how far the run has come that goes on, zero if there is none.
func (c *Compactor) Progress() Progress { return c.progress.now() }

// progress counts jobs.
type progress struct {
	mu    sync.Mutex
	p     Progress
	began time.Time // of the plan, zero if there is none
	// What plans before this one have done: bytes, and the time that passed.
	bytes int64
	spent time.Duration
}

// begin is a new plan.
func (p *progress) begin(jobs []*Job) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.end()
	p.p.Total = len(jobs)
	for _, job := range jobs {
		p.p.TotalBytes += jobBytes(job)
	}
	p.began = time.Now()
}

// started and ended count a job.
func (p *progress) started() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.p.Running++
}

func (p *progress) ended(job *Job) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.p.Running--
	p.p.Jobs++
	p.p.Bytes += jobBytes(job)
}

// idle is the end of a run.
func (p *progress) idle() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.end()
}

// end adds the plan to those before.
func (p *progress) end() {
	if !p.began.IsZero() {
		p.bytes += p.p.Bytes
		p.spent += time.Since(p.began)
	}
	p.p, p.began = Progress{}, time.Time{}
}

func (p *progress) now() Progress {
	p.mu.Lock()
	defer p.mu.Unlock()
	out := p.p
	if out.Total == 0 {
		return out
	}
	if bytes, spent := p.bytes+out.Bytes, p.spent+time.Since(p.began); bytes > 0 {
		out.Left = time.Duration(float64(spent) * float64(out.TotalBytes-out.Bytes) / float64(bytes))
	}
	return out
}

// jobBytes is how much a job reads.
func jobBytes(job *Job) (n int64) {
	for _, m := range job.Sources {
		for _, f := range m.Thanos.Files {
			n += f.SizeBytes
		}
	}
	return n
}
