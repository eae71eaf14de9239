// Package fanout makes many Stores one: it asks those that may hold what is
// wanted, all at once, and merges their answers in order.
//
//	f, err := fanout.New(fanout.Static(
//		fanout.Member{Name: "eu", Store: eu},
//		fanout.Member{Name: "us", Store: us},
//	), nil)
//	...
//	go f.Run(ctx) // keeps up with what the members say that they hold
//	err = f.Series(ctx, req, w)
//
// A fan-out is itself a store.Store, a store.LabelQuerier and a
// store.Describer, so that fan-outs stack, in one process or, with
// store/grpcstore between them, over many.
//
// # Who is asked
//
// Members that are store.Describers are asked for their Info from time to time:
// by Run, or else by requests that find it out of date. A member is pruned, and
// does not cost a goroutine, when its Info rules out that it holds anything of a
// request, by its time range or because no label set of its can match; see
// store.Info. One that is no Describer is always asked.
//
// A member whose Describe fails is unhealthy: it is not asked, and counts as one
// that failed. If the external labels that it announced last rule it out, it is
// not missed. Health lists what is known of each.
//
// # Partial responses
//
// What became of each member is in the request's Outcome: asked or pruned and
// why, answered, failed, timed out or canceled, with what it sent and how long
// it took. The members of a member that is a fan-out too are there as
// "member/theirs".
//
// With the strategy Warn, a member that fails is a warning, a *store.Error that
// names it, and the others' series arrive whole, as do the series that it sent
// before. With Abort that error ends the call, as soon as it happens. The
// strategy is passed on, so that a fan-out below decides alike; what a member
// merely warns of remains a warning with both.
//
// A member that panics, sends series out of order, or uses up the WaitBudget has
// failed like one that returns an error.
//
// # What is sent
//
// Series ascend, each is sent once, in one part, and its chunks ascend by
// MinTime, MaxTime and then as Thanos' proxy orders them. Equal series of several
// members, and parts of one, become one with the chunks of all; of chunks that
// say the same, which is decided by all of their bytes, one is kept. Replicas
// with different chunks are not deduplicated: that is for packages dedup and
// query.
//
// A member that does not remove replica labels itself, or does not shard, is
// made to by middleware, at the price of sorting its answer again.
//
// Between packages of thanoskit series are views of received frames. Neither
// labels nor chunks are decoded, and those of one member's series are not even
// copied.
//
// # Backpressure
//
// Members send ahead of the merge within Options.BufferBytes, which all calls
// share. Beside that, each member of each call may hold one frame, so that a
// merge always gets the frame that it needs next, however small the budget and
// whoever has used it up. A member that sent more than that is blocked until the
// merge is done with it. So the memory of frames is bounded by
//
//	BufferBytes + members being asked × their largest frame
//
// and, for each call, the one series that is being merged if it spans frames
// when the budget is used up, and 128 KiB for each member that sends plain
// series, which are made into frames here. What members hold themselves, and what
// a reader keeps, is not counted.
//
// # What it does not do
//
// It knows no gRPC: a member over the network is a client of store/grpcstore. It
// does not close members. It neither retries nor balances: two members that say
// the same of themselves are both asked, since equal Info does not make
// replicas.
package fanout
