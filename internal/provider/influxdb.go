// SPDX-License-Identifier: Apache-2.0

package provider

import (
	"cmp"
	"context"
	"encoding/csv"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
)

// influxdb asks by /api/v2/query of InfluxDB 2 (https://docs.influxdata.com/influxdb/v2/api-guide/api_intro/), whose answer is
// annotated CSV (https://docs.influxdata.com/influxdb/v2/reference/syntax/annotated-csv/). result is a []any of the values of the
// columns _value, of all tables one after the other: float64 for numbers, else bool, string or nil.
func (c *Clients) influxdb(ctx context.Context, q *question) (any, error) {
	metric := q.provider.Influxdb
	keys, err := c.profile(ctx, q, c.options.Namespace, cmp.Or(metric.Profile, "influxdb"), "address", "authToken", "org")
	if err != nil {
		return nil, err
	}
	request, err := json.Marshal(map[string]any{
		"query": metric.Query, "type": "flux",
		"dialect": map[string]any{"header": true, "delimiter": ",", "annotations": []string{"datatype", "default"}},
	})
	if err != nil {
		return nil, misconfigured("the query is no JSON")
	}
	body, err := c.do(ctx, q, call{
		method: http.MethodPost, url: at(keys["address"], "/api/v2/query?"+url.Values{"org": {keys["org"]}}.Encode()), body: request,
		timeout: defaultTimeout, header: http.Header{
			"Authorization": {"Token " + keys["authToken"]}, "Content-Type": {"application/json"}, "Accept": {"application/csv"},
		},
	})
	if err != nil {
		return nil, err
	}
	values, err := fluxValues(string(body))
	if err != nil {
		return nil, unreadable(hostOf(keys["address"]), err.Error())
	}
	return values, nil
}

// The errors say nothing of the answer.
var (
	errNoTables = errors.New("the answer is not as documented")
	errFlux     = errors.New("the answer says that it is an error")
)

// fluxTables is how far annotated CSV was read: what its annotations said of the table that comes, or goes on.
type fluxTables struct {
	types, defaults []string
	column          int
	// named is true once the names of the columns were read.
	named bool
}

// fluxValues returns the values of annotated CSV. A query that fails midway ends in a table of errors.
func fluxValues(text string) ([]any, error) {
	reader := csv.NewReader(strings.NewReader(text))
	reader.FieldsPerRecord = -1 // each table has its own columns
	values, tables := []any{}, &fluxTables{}
	for {
		row, err := reader.Read()
		switch {
		case errors.Is(err, io.EOF) && strings.TrimSpace(text) != "" && !tables.named:
			return nil, errNoTables
		case errors.Is(err, io.EOF):
			return values, nil
		case err != nil:
			return nil, errNoTables
		case tables.annotates(row):
			continue
		case !tables.named:
			if err := tables.name(row); err != nil {
				return nil, err
			}
			continue
		}
		value, err := tables.value(row)
		if err != nil {
			return nil, err
		}
		values = append(values, value)
	}
}

// annotates reports whether a row is an annotation, which begins a table.
func (t *fluxTables) annotates(row []string) bool {
	switch {
	case !strings.HasPrefix(row[0], "#"):
		return false
	case row[0] == "#datatype":
		t.types = row
	case row[0] == "#default":
		t.defaults = row
	}
	t.named = false
	return true
}

func (t *fluxTables) name(row []string) error {
	if slices.Contains(row, "error") && slices.Contains(row, "reference") {
		return errFlux
	}
	t.column, t.named = slices.Index(row, "_value"), true
	if t.column < 0 || t.column >= len(t.types) {
		return errNoTables
	}
	return nil
}

func (t *fluxTables) value(row []string) (any, error) {
	if t.column >= len(row) {
		return nil, errNoTables
	}
	text := row[t.column]
	if text == "" && t.column < len(t.defaults) {
		text = t.defaults[t.column]
	}
	kind := t.types[t.column]
	switch {
	case kind == "string":
		return text, nil
	case text == "":
		return nil, nil
	case kind == "boolean":
		return text == "true", nil
	case kind == "double", kind == "long", kind == "unsignedLong":
		number, err := strconv.ParseFloat(text, 64)
		if err != nil {
			return nil, errNoTables
		}
		return number, nil
	}
	return text, nil
}
