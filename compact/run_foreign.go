package compact

// ownerlessRuns is in how many runs in a row a job of another shard is planned
// before it is said that nobody does it: two cycles are between three of them.
const ownerlessRuns = 3

// ownerless notes the jobs of other shards, and returns how many groups have one
// that has been there for two cycles.
func (c *Compactor) ownerless(plan *Plan) int {
	c.mu.Lock()
	defer c.mu.Unlock()
	seen := map[string]int{}
	groups := map[string]bool{}
	for i := range plan.Foreign {
		job := &plan.Foreign[i]
		key := jobKey(job)
		seen[key] = c.foreign[key] + 1
		if seen[key] >= ownerlessRuns {
			groups[job.Group] = true
		}
	}
	c.foreign = seen
	return len(groups)
}
