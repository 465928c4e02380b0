// SPDX-License-Identifier: Apache-2.0

package provider

import (
	"cmp"
	"context"
	"encoding/json"
	"encoding/xml"
	"net/http"
	"net/url"
	"strings"
	"time"
)

// awsKeys are what a request to AWS is signed with.
type awsKeys struct {
	id, secret, token string
	region            string
	// address that replaces the region's. Empty: none does.
	address string
	// expiry of those that are given for a time. Zero: they do not expire.
	expiry time.Time
}

// awsKeys returns the keys of the Secret cloudwatch in the manager's namespace (region, access-key-id, secret-access-key,
// session-token, address), or those of the environment for what it lacks. The environment is that of the AWS SDKs
// (https://docs.aws.amazon.com/sdkref/latest/guide/settings-reference.html), in their order: keys in variables, the role of the
// manager's ServiceAccount (IRSA), and EKS Pod Identity. Keys of the machine (IMDS) are not used: they are its node's, not the manager's.
func (c *Clients) awsKeys(ctx context.Context, q *question) (awsKeys, error) {
	var given map[string]string
	if c.options.SecretReader != nil {
		read, err := c.profile(ctx, q, c.options.Namespace, "cloudwatch")
		if err != nil {
			return awsKeys{}, err
		}
		given = read
	}
	keys := awsKeys{
		id: given["access-key-id"], secret: given["secret-access-key"], token: given["session-token"], address: given["address"],
		region: cmp.Or(given["region"], c.env("AWS_REGION"), c.env("AWS_DEFAULT_REGION")),
	}
	switch {
	case !awsRegion.MatchString(keys.region):
		return keys, lacking("the Secret cloudwatch has no key region that is one, nor has the environment")
	case (keys.id == "") != (keys.secret == ""):
		return keys, lacking("the Secret cloudwatch has one of access-key-id and secret-access-key only")
	case keys.id != "":
		return keys, nil
	}
	ambient, err := c.ambientKeys(ctx, q, keys.region)
	if err != nil {
		return keys, err
	}
	q.conceal(ambient.id, ambient.secret, ambient.token)
	keys.id, keys.secret, keys.token = ambient.id, ambient.secret, ambient.token
	return keys, nil
}

func (c *Clients) env(name string) string {
	if c.options.Getenv == nil {
		return ""
	}
	return strings.TrimSpace(c.options.Getenv(name))
}

func (c *Clients) file(name string) (string, error) {
	if c.options.ReadFile == nil {
		return "", lacking("the manager reads no files")
	}
	text, err := c.options.ReadFile(name)
	if err != nil {
		return "", lacking("the token of the manager's identity at AWS cannot be read")
	}
	return strings.TrimSpace(string(text)), nil
}

// ambientKeys returns the keys of the environment. Those that are given for a time are kept until five minutes before it is over.
func (c *Clients) ambientKeys(ctx context.Context, q *question, region string) (awsKeys, error) {
	if id := c.env("AWS_ACCESS_KEY_ID"); id != "" {
		return awsKeys{id: id, secret: c.env("AWS_SECRET_ACCESS_KEY"), token: c.env("AWS_SESSION_TOKEN")}, nil
	}
	c.lock.Lock()
	kept := c.aws
	c.lock.Unlock()
	if c.options.Now().Add(5 * time.Minute).Before(kept.expiry) {
		return kept, nil
	}
	var (
		fresh awsKeys
		err   error
	)
	switch {
	case c.env("AWS_WEB_IDENTITY_TOKEN_FILE") != "" && c.env("AWS_ROLE_ARN") != "":
		fresh, err = c.roleKeys(ctx, q, region)
	case c.env("AWS_CONTAINER_CREDENTIALS_FULL_URI") != "":
		fresh, err = c.podKeys(ctx, q)
	default:
		return fresh, lacking("the Secret cloudwatch has no keys access-key-id and secret-access-key, nor has the environment")
	}
	if err != nil {
		return fresh, err
	}
	c.lock.Lock()
	c.aws = fresh
	c.lock.Unlock()
	return fresh, nil
}

// roleKeys exchanges the ServiceAccount's token for keys
// (https://docs.aws.amazon.com/STS/latest/APIReference/API_AssumeRoleWithWebIdentity.html).
func (c *Clients) roleKeys(ctx context.Context, q *question, region string) (awsKeys, error) {
	token, err := c.file(c.env("AWS_WEB_IDENTITY_TOKEN_FILE"))
	if err != nil {
		return awsKeys{}, err
	}
	q.conceal(token)
	address := cmp.Or(c.env("AWS_ENDPOINT_URL_STS"), "https://sts."+region+"."+awsDomain(region))
	form := url.Values{
		"Action": {"AssumeRoleWithWebIdentity"}, "Version": {"2011-06-15"}, "RoleArn": {c.env("AWS_ROLE_ARN")}, "WebIdentityToken": {token},
		"RoleSessionName": {cmp.Or(c.env("AWS_ROLE_SESSION_NAME"), "kruise-rollout")},
	}
	body, err := c.do(ctx, q, call{
		method: http.MethodPost, url: at(address, "/"), body: []byte(form.Encode()), timeout: defaultTimeout,
		header: http.Header{"Content-Type": {"application/x-www-form-urlencoded"}},
	})
	if err != nil {
		return awsKeys{}, err
	}
	var answer struct {
		XMLName     xml.Name `xml:"AssumeRoleWithWebIdentityResponse"`
		Credentials struct {
			AccessKeyID     string `xml:"AccessKeyId"`
			SecretAccessKey string
			SessionToken    string
			Expiration      time.Time
		} `xml:"AssumeRoleWithWebIdentityResult>Credentials"`
	}
	given := &answer.Credentials
	if err := xml.Unmarshal(body, &answer); err != nil || given.AccessKeyID == "" {
		return awsKeys{}, unreadable(hostOf(address), "the answer is not as documented")
	}
	return awsKeys{id: given.AccessKeyID, secret: given.SecretAccessKey, token: given.SessionToken, expiry: given.Expiration}, nil
}

// podKeys asks the agent of EKS Pod Identity, whose address is link-local
// (https://docs.aws.amazon.com/sdkref/latest/guide/feature-container-credentials.html).
func (c *Clients) podKeys(ctx context.Context, q *question) (awsKeys, error) {
	token := c.env("AWS_CONTAINER_AUTHORIZATION_TOKEN")
	if name := c.env("AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE"); name != "" {
		read, err := c.file(name)
		if err != nil {
			return awsKeys{}, err
		}
		token = read
	}
	q.conceal(token)
	header := http.Header{}
	if token != "" {
		header.Set("Authorization", token)
	}
	address := c.env("AWS_CONTAINER_CREDENTIALS_FULL_URI")
	body, err := c.do(ctx, q, call{method: http.MethodGet, url: address, header: header, timeout: defaultTimeout, through: c.credentials})
	if err != nil {
		return awsKeys{}, err
	}
	var given struct {
		AccessKeyID     string `json:"AccessKeyId"`
		SecretAccessKey string
		Token           string
		Expiration      time.Time
	}
	if err := json.Unmarshal(body, &given); err != nil || given.AccessKeyID == "" {
		return awsKeys{}, unreadable(hostOf(address), "the answer is not as documented")
	}
	return awsKeys{id: given.AccessKeyID, secret: given.SecretAccessKey, token: given.Token, expiry: given.Expiration}, nil
}
