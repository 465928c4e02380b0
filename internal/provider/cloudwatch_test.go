// SPDX-License-Identifier: Apache-2.0

package provider

import (
	"errors"
	"io"
	"net/http"
	"net/url"
	"os"
	"reflect"
	"strings"
	"testing"
	"time"

	rolloutsv1beta1 "kruise.io/rollouts/api/v1beta1"
)

// cloud is CloudWatch, STS and the agent of Pod Identity in one. It accepts keys with the id that it gave, and counts how often it did.
type cloud struct {
	address string
	given   int
}

func newCloud(t *testing.T) *cloud {
	c := &cloud{}
	c.address = serve(t, func(w http.ResponseWriter, a asked) {
		form, _ := url.ParseQuery(a.body)
		expiry := noon.Add(time.Hour).Format(time.RFC3339)
		switch {
		case a.URL.Path == "/pod" && a.Header.Get("Authorization") == planted:
			c.given++
			_, _ = io.WriteString(w, `{"AccessKeyId":"GIVEN","SecretAccessKey":"s3cret","Token":"t0ken","Expiration":"`+expiry+`"}`)
		case form.Get("Action") == "AssumeRoleWithWebIdentity" && form.Get("WebIdentityToken") == planted && form.Get("RoleArn") == "arn:r":
			c.given++
			_, _ = io.WriteString(w, `<AssumeRoleWithWebIdentityResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/"><AssumeRoleWithWebIdentityResult>`+
				`<Credentials><SessionToken>t0ken</SessionToken><SecretAccessKey>s3cret</SecretAccessKey><Expiration>`+expiry+
				`</Expiration><AccessKeyId>GIVEN</AccessKeyId></Credentials></AssumeRoleWithWebIdentityResult></AssumeRoleWithWebIdentityResponse>`)
		case form.Get("Action") == "GetMetricData" && strings.Contains(a.Header.Get("Authorization"), "Credential=GIVEN/20261128/eu-west-1/") &&
			(c.given == 0 || a.Header.Get("X-Amz-Security-Token") == "t0ken"):
			_, _ = io.WriteString(w, cloudWatchRow().one.body)
		default:
			http.Error(w, echo(a), http.StatusForbidden)
		}
	})
	return c
}

func TestAmbientKeysOfAWS(t *testing.T) {
	t.Parallel()
	for name, env := range map[string]map[string]string{
		"variables": {"AWS_ACCESS_KEY_ID": "GIVEN", "AWS_SECRET_ACCESS_KEY": planted, "AWS_REGION": "eu-west-1"},
		"role":      {"AWS_ROLE_ARN": "arn:r", "AWS_WEB_IDENTITY_TOKEN_FILE": "/token", "AWS_DEFAULT_REGION": "eu-west-1"},
		"pod":       {"AWS_CONTAINER_CREDENTIALS_FULL_URI": "/pod", "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE": "/token", "AWS_REGION": "eu-west-1"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			cloud := newCloud(t)
			env["AWS_ENDPOINT_URL_STS"] = cloud.address
			if env["AWS_CONTAINER_CREDENTIALS_FULL_URI"] != "" {
				env["AWS_CONTAINER_CREDENTIALS_FULL_URI"] = cloud.address + "/pod"
			}
			c := clients(map[string]string{"address": cloud.address}, func(o *Options) {
				o.Getenv = func(name string) string { return env[name] }
				o.ReadFile = func(name string) ([]byte, error) {
					if name != "/token" {
						return nil, os.ErrNotExist
					}
					return []byte(planted + "\n"), nil
				}
			})
			for range 2 {
				if got, err := c.Measure(t.Context(), cloudWatchRow().ask("")); err != nil || !reflect.DeepEqual(got, cloudWatchRow().one.want) {
					t.Fatalf("got %v, %v", got, err)
				}
			}
			if cloud.given > 1 {
				t.Errorf("keys were asked for %d times", cloud.given)
			}
			// What the environment names is out of reach for templates.
			_, err := clients(nil, func(o *Options) { o.Allow = nil }).Measure(t.Context(), webAt(cloud.address+"/pod"))
			fails(t, err, Error{Class: ClassForbiddenAddress})
		})
	}
}

func TestNoKeysOfAWS(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]*Clients{
		"nothing":      clients(nil),
		"no region":    clients(map[string]string{"access-key-id": "a", "secret-access-key": planted}),
		"not a region": clients(map[string]string{"region": "x.example/#", "access-key-id": "a", "secret-access-key": planted}),
		"half":         clients(map[string]string{"region": "eu-west-1", "access-key-id": "a"}),
		"region only":  clients(map[string]string{"region": "eu-west-1"}),
		"unreadable token": clients(map[string]string{"region": "eu-west-1"}, func(o *Options) {
			o.Getenv = func(name string) string {
				return map[string]string{"AWS_ROLE_ARN": "r", "AWS_WEB_IDENTITY_TOKEN_FILE": "f"}[name]
			}
			o.ReadFile = func(string) ([]byte, error) { return nil, errors.New(planted) }
		}),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := c.Measure(t.Context(), cloudWatchRow().ask(""))
			fails(t, err, Error{Class: ClassSecret})
		})
	}
}

// TestPagesOfCloudWatch goes through an answer of several pages, and gives up on one that has no end.
func TestPagesOfCloudWatch(t *testing.T) {
	t.Parallel()
	page := func(id, values, next string) string {
		return `<GetMetricDataResponse><GetMetricDataResult><MetricDataResults><member><Id>` + id + `</Id><StatusCode>Complete</StatusCode><Values>` +
			values + `</Values></member></MetricDataResults><NextToken>` + next + `</NextToken></GetMetricDataResult></GetMetricDataResponse>`
	}
	endless := false
	address := serve(t, func(w http.ResponseWriter, a asked) {
		form, _ := url.ParseQuery(a.body)
		switch {
		case form.Get("NextToken") == "", endless:
			_, _ = io.WriteString(w, page("a", "<member>1</member>", "2"))
		case form.Get("NextToken") == "2":
			_, _ = io.WriteString(w, page("a", "<member>2</member>", "3"))
		default:
			_, _ = io.WriteString(w, page("b", "<member>Infinity</member><member>3</member>", ""))
		}
	})
	row := cloudWatchRow()
	got, err := row.clients(address).Measure(t.Context(), row.ask(""))
	if err != nil {
		t.Fatal(err)
	}
	first := got.([]any)[0].(map[string]any)
	if !reflect.DeepEqual(first["Values"], []float64{1, 2}) || len(got.([]any)) != 2 {
		t.Errorf("got %v", got)
	}
	endless = true
	_, err = row.clients(address).Measure(t.Context(), row.ask(""))
	fails(t, err, Error{Class: ClassTooLarge})
}

func TestCloudWatchConfig(t *testing.T) {
	t.Parallel()
	row := cloudWatchRow()
	for name, metric := range map[string]rolloutsv1beta1.CloudWatchMetric{
		"no query":      {},
		"empty query":   {MetricDataQueries: []rolloutsv1beta1.CloudWatchQuery{{ID: "a"}}},
		"interval":      {MetricDataQueries: row.ask("").Provider.CloudWatch.MetricDataQueries, Interval: "5"},
		"zero interval": {MetricDataQueries: row.ask("").Provider.CloudWatch.MetricDataQueries, Interval: "0s"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := row.clients("http://127.0.0.1:1").Measure(t.Context(), Ask{Provider: rolloutsv1beta1.MetricProvider{CloudWatch: &metric}})
			fails(t, err, Error{Class: ClassConfig})
		})
	}
}
