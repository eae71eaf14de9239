package compact

import (
	"context"
	"sync"
)

// queue hands out jobs in their order: one of a group at a time, and no more of a
// kind than options say.
type queue struct {
	mu      sync.Mutex
	waiting []*Job
	groups  map[string]bool
	free    map[JobKind]int
	ended   chan struct{} // has a value when a job has ended since somebody looked
}

func newQueue(jobs []*Job, o *Options) *queue {
	return &queue{
		waiting: jobs, groups: map[string]bool{}, ended: make(chan struct{}, 1),
		free: map[JobKind]int{Compact: o.Concurrency, DownsampleOnly: o.DownsampleConcurrency},
	}
}

// next waits for a job that may begin, and takes it. It is nil if there is none
// left, or the context has ended. One goroutine at a time may call it; release is
// to be called when the job has ended.
func (q *queue) next(ctx context.Context) (job *Job, release func()) {
	for ctx.Err() == nil {
		job, left := q.take()
		if job != nil {
			return job, func() { q.release(job) }
		}
		if left == 0 {
			return nil, nil
		}
		select {
		case <-q.ended:
		case <-ctx.Done():
		}
	}
	return nil, nil
}

// take returns the first job that may begin, and how many are waiting.
func (q *queue) take() (*Job, int) {
	q.mu.Lock()
	defer q.mu.Unlock()
	for i, job := range q.waiting {
		if q.groups[job.Group] || q.free[job.Kind] == 0 {
			continue
		}
		q.waiting = append(q.waiting[:i:i], q.waiting[i+1:]...)
		q.groups[job.Group] = true
		q.free[job.Kind]--
		return job, len(q.waiting)
	}
	return nil, len(q.waiting)
}

func (q *queue) release(job *Job) {
	q.mu.Lock()
	delete(q.groups, job.Group)
	q.free[job.Kind]++
	q.mu.Unlock()
	select {
	case q.ended <- struct{}{}:
	default:
	}
}
