package fanout

// Branch makes each call have a branch for each member.
func Branch(f *Store) *Store {
	f.branches = func(members int) int { return members }
	return f
}

// BranchesOf is how many branches a call to so many members has.
func BranchesOf(members int) int { return branchesOf(members) }
