// Package fanout makes many Stores one: it asks those that may hold what is
// wanted, all at once, and merges their answers in order.
//
//	f, err := fanout.New(fanout.Static(
//		fanout.Member{Name: "eu", Store: eu},
//		fanout.Member{Name: "us-0", Group: "us", Store: us0}, // replicas, of which
//		fanout.Member{Name: "us-1", Group: "us", Store: us1}, // one is asked
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
// request, by its time range or because no label set of its can match, see
// store.Info; when it is a store.MetricFilter that rules out the metrics that a
// request names, by an equality or a list of alternatives; or when a request's
// StoreMatch does not select its name. One that is no Describer has no Info to
// be pruned by.
//
// A member whose Describe fails is unhealthy: it is not asked, and counts as one
// that failed. If the external labels that it announced last rule it out, it is
// not missed. After Options.RemoveAfter it is removed: calls go on as if it were
// not there, until it describes itself again. A Strict member is never removed,
// and is asked while it is unhealthy. Health lists what is known of each. A member
// that the Source yields no more is gone at once.
//
// Options.SelectorLabels stand for the fan-out as a whole towards fan-outs above
// it. Series do not get them.
//
// # Declared groups
//
// Members with the same Group are replicas, which hold the same data, and are one
// logical member. Only who configures them can know that: two members that say the
// same of themselves are both asked, since gateways that share out blocks announce
// equal Info.
//
// Of the replicas that may hold what is wanted the one is asked that runs the
// fewest calls of this fan-out, in turns if there are several; one that failed
// within the last InfoInterval comes last, and unhealthy ones only when all others
// have failed. If it fails, the next is asked, unless the error says that the next
// would do no better: ErrInvalidRequest, ErrLimit, ErrLoop. If it sends nothing for
// Options.HedgeDelay, another one is asked as well, but never a third at the same
// time. That goes on until one replica sends its first series, or ends well without
// any; its answer is then the group's, with what it warned of, and the others are
// stopped. Should it fail from there on, so has the group, since what it sent is on
// its way.
//
// Where replicas are slow because they have too much to do, hedges add to that. So
// there are, but for ten saved up, no more than one for each ten calls to the
// group; and without a HedgeDelay, none before half of the time is over in which
// the answer would be lost.
//
// # Partial responses
//
// What became of each member is in the request's Outcome: asked or pruned and
// why, answered, failed, timed out or canceled, with what it sent and how long
// it took. The members of a member that is a fan-out too are there as
// "member/theirs". A group is there by its name, and each replica that was asked
// as "group/replica"; one in whose place another one answered is Pruned, with
// store.PrunedByReplica and, if it failed, its error. Both count what was sent.
//
// With the strategy Warn, a member that fails is a warning, a *store.Error that
// names it, and the others' series arrive whole, as do the series that it sent
// before. With Abort that error ends the call, as soon as it happens, and so does
// a member's own warning, unless it is one about an expression: see
// store.IsAnnotation. (Thanos aborts on those too.) The strategy is passed on, so
// that a fan-out below decides alike.
//
// With either, the call fails with a *store.IncompleteError when a member that the
// request requires has not answered whole, as soon as that is certain. What is
// required is not passed on: members of members are judged by what is told of
// them.
//
// A member that panics, sends series out of order, or uses up its WaitBudget or
// Deadline has failed like one that returns an error.
//
// # Members that do not return
//
// A call that is over cancels the members that still run and waits for them, so
// that nothing of it is left. One that does not heed its context is waited for
// one second, and is then left to itself: what it sends is refused, and it
// is counted by thanoskit_fanout_abandoned_calls until it returns. A member with 16
// such calls is not asked any more.
//
// # Circles
//
// A request carries the names of the fan-outs that it came through, also over
// store/grpcstore. One that comes to a fan-out again is refused with a
// *store.LoopError, which becomes the outcome of the member that led there. What
// the rest has is answered. Questions for Info are refused alike; and one
// that comes from another fan-out waits for none that is under way, so that
// questions which meet in a circle do not wait for each other.
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
// made to by middleware, at the price of sorting its answer again. Without chunks
// all are: the sidecar of Thanos announces both, and then does neither.
//
// Between packages of thanoskit series are views of received frames. Neither
// labels nor chunks are decoded, and those of one member's series are not even
// copied.
//
// A call that asks 16 members or more merges them in branches, each in a goroutine
// and of eight members at least, as many as there are processors, and these in the
// caller's goroutine. What is sent, when, and what it takes of BufferBytes and of
// wait budgets is the same; only warnings of different members may come in another
// order.
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
// and, for each call and each of its branches, the one series that is being merged
// if it spans frames when the budget is used up, and 128 KiB for each member that
// sends plain series, which are made into frames here. What members hold themselves is not
// counted, of which the window of each call of a grpcstore.Client is the most (4
// MiB if it is not told otherwise), nor what a reader keeps.
//
// There is no choice between eager and streaming retrieval, because the budget
// makes it: eager while there is room, one frame at a time from then on. Of 100
// members that need 50 ms each, answers that fit arrive in 50 ms. Streamed, they
// take 4.9 s, since a merge comes to need one member after the other. With room
// for a tenth it is 50 ms again where the members' series mix, and 3.2 s where all
// of one member's come before the next one's. Members that sort first lose
// nothing by streaming, and a slow reader decides the time alone as soon as there
// is room for a tenth.
//
// Of what other calls leave free, a call takes four fifths at most. Beside two
// calls whose readers had stalled, a third one took 50 ms; when those could use up
// all of it, 980 ms.
//
// # What it does not do
//
// It knows no gRPC: a member over the network is a client of store/grpcstore. It
// does not close members. It retries no member by itself, only replicas of a
// group in place of each other.
package fanout
