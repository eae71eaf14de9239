// Package beside runs those components of Thanos that thanoskit has no package for
// beside thanoskit's querier: the query frontend in front of it, and a ruler that
// asks it and that it asks.
package beside
