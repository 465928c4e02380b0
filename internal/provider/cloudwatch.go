// SPDX-License-Identifier: Apache-2.0

package provider

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/xml"
	"fmt"
	"math"
	"net/http"
	"net/url"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"

	rolloutsv1beta1 "kruise.io/rollouts/api/v1beta1"
)

// mostPages of an answer are read.
const mostPages = 5

// awsRegion is what regions look like: one becomes part of a host's name.
var awsRegion = regexp.MustCompile(`^[a-z0-9-]{1,32}$`)

// cloudWatch asks by GetMetricData (https://docs.aws.amazon.com/AmazonCloudWatch/latest/APIReference/API_GetMetricData.html), by its
// Query protocol: its SDK would add more to the manager than all of this package. result is a list of the results of the queries that
// return data, each a map of Id, Label and Values, a []float64 whose newest value is the first; it is empty where no query gave a
// value, as a condition on all values of none would hold. The address in the Secret replaces that of the region (VPC endpoints).
func (c *Clients) cloudWatch(ctx context.Context, q *question) (any, error) {
	metric := q.provider.CloudWatch
	back, err := window(metric.Interval)
	if err != nil {
		return nil, err
	}
	keys, err := c.awsKeys(ctx, q)
	if err != nil {
		return nil, err
	}
	now := c.options.Now()
	form, err := metricData(metric, now.Add(-back), now)
	if err != nil {
		return nil, err
	}
	address := cmp.Or(keys.address, "https://monitoring."+keys.region+"."+awsDomain(keys.region))
	var results []metricDataResult
	for range mostPages {
		page, err := c.metricDataPage(ctx, q, address, keys, form)
		if err != nil {
			return nil, err
		}
		results = merged(results, page.Results)
		if page.NextToken == "" {
			return metricValues(address, results)
		}
		form.Set("NextToken", page.NextToken)
	}
	return nil, &Error{Class: ClassTooLarge, Host: hostOf(address), Message: fmt.Sprintf("the answer has more than %d pages", mostPages)}
}

// awsDomain is that of a region's endpoints.
func awsDomain(region string) string {
	if strings.HasPrefix(region, "cn-") {
		return "amazonaws.com.cn"
	}
	return "amazonaws.com"
}

// metricData is the form of a request.
func metricData(metric *rolloutsv1beta1.CloudWatchMetric, from, to time.Time) (url.Values, error) {
	if len(metric.MetricDataQueries) == 0 {
		return nil, misconfigured("no query is given")
	}
	form := url.Values{
		"Action": {"GetMetricData"}, "Version": {"2010-08-01"}, "ScanBy": {"TimestampDescending"},
		"StartTime": {from.UTC().Format(time.RFC3339)}, "EndTime": {to.UTC().Format(time.RFC3339)},
	}
	for i, query := range metric.MetricDataQueries {
		if (query.Expression == nil) == (query.MetricStat == nil) {
			return nil, misconfigured("each query has to have one of expression and metricStat")
		}
		prefix := fmt.Sprintf("MetricDataQueries.member.%d.", i+1)
		form.Set(prefix+"Id", query.ID)
		text(form, prefix+"Expression", query.Expression)
		text(form, prefix+"Label", query.Label)
		if query.Period != nil {
			form.Set(prefix+"Period", strconv.Itoa(int(*query.Period)))
		}
		if query.ReturnData != nil {
			form.Set(prefix+"ReturnData", strconv.FormatBool(*query.ReturnData))
		}
		if query.MetricStat != nil {
			metricStat(form, prefix+"MetricStat.", query.MetricStat)
		}
	}
	return form, nil
}

func metricStat(form url.Values, prefix string, stat *rolloutsv1beta1.CloudWatchStat) {
	form.Set(prefix+"Period", strconv.Itoa(int(stat.Period)))
	form.Set(prefix+"Stat", stat.Stat)
	if stat.Unit != "" {
		form.Set(prefix+"Unit", stat.Unit)
	}
	form.Set(prefix+"Metric.MetricName", stat.Metric.MetricName)
	text(form, prefix+"Metric.Namespace", stat.Metric.Namespace)
	for i, dimension := range stat.Metric.Dimensions {
		form.Set(fmt.Sprintf("%sMetric.Dimensions.member.%d.Name", prefix, i+1), dimension.Name)
		form.Set(fmt.Sprintf("%sMetric.Dimensions.member.%d.Value", prefix, i+1), dimension.Value)
	}
}

func text(form url.Values, name string, value *string) {
	if value != nil {
		form.Set(name, *value)
	}
}

// metricDataAnswer is the answer to GetMetricData.
type metricDataAnswer struct {
	XMLName   xml.Name           `xml:"GetMetricDataResponse"`
	Results   []metricDataResult `xml:"GetMetricDataResult>MetricDataResults>member"`
	NextToken string             `xml:"GetMetricDataResult>NextToken"`
}

type metricDataResult struct {
	ID     string `xml:"Id"`
	Label  string `xml:"Label"`
	Status string `xml:"StatusCode"`
	// Values are texts: XML has its own words for what is no number.
	Values []string `xml:"Values>member"`
}

func (c *Clients) metricDataPage(ctx context.Context, q *question, address string, keys awsKeys, form url.Values) (metricDataAnswer, error) {
	var answer metricDataAnswer
	body, err := c.do(ctx, q, call{
		method: http.MethodPost, url: at(address, "/"), body: []byte(form.Encode()), timeout: defaultTimeout,
		header: http.Header{"Content-Type": {"application/x-www-form-urlencoded; charset=utf-8"}},
		sign: func(r *http.Request, body []byte) error {
			sum := sha256.Sum256(body)
			given := aws.Credentials{AccessKeyID: keys.id, SecretAccessKey: keys.secret, SessionToken: keys.token}
			return v4.NewSigner().SignHTTP(r.Context(), given, r, hex.EncodeToString(sum[:]), "monitoring", keys.region, c.options.Now())
		},
	})
	if err != nil {
		return answer, err
	}
	if err := xml.Unmarshal(body, &answer); err != nil {
		return answer, unreadable(hostOf(address), "the answer is not as documented")
	}
	return answer, nil
}

// merged adds a page: its results go on with those of the same id and label before.
func merged(results, page []metricDataResult) []metricDataResult {
next:
	for _, more := range page {
		for i, known := range results {
			if known.ID == more.ID && known.Label == more.Label {
				results[i].Values, results[i].Status = append(known.Values, more.Values...), more.Status
				continue next
			}
		}
		results = append(results, more)
	}
	return results
}

// metricValues is the result of an answer. One that is not complete is an error: the part that lacks may be the one that counts.
func metricValues(address string, results []metricDataResult) (any, error) {
	list, some := []any{}, false
	for _, result := range results {
		if result.Status != "Complete" {
			return nil, unreadable(hostOf(address), "the answer is not complete")
		}
		numbers := []float64{}
		for _, text := range result.Values {
			number, err := strconv.ParseFloat(text, 64)
			if err != nil && !math.IsInf(number, 0) {
				return nil, unreadable(hostOf(address), "the answer is not as documented")
			}
			numbers = append(numbers, number)
		}
		some = some || len(numbers) > 0
		list = append(list, map[string]any{"Id": result.ID, "Label": result.Label, "Values": numbers})
	}
	if !some {
		return []any{}, nil
	}
	return list, nil
}
