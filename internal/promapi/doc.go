// Package promapi is the client's side of Prometheus' HTTP API: requests, the
// envelope of answers, and the errors of both, for the Stores that read from a
// Prometheus or from what speaks like one.
//
//	resp, err := client.Do(ctx, &promapi.Call{Method: http.MethodPost, Endpoint: "api/v1/series", Form: form})
//	...
//	warnings, err := promapi.Decode(resp, sets.DecodeJSON)
//
// Every answer is bounded if the caller says so, and what is not an answer, such
// as a login page, is an error that shows how it begins.
package promapi
