package admission

import "kruise.io/rollouts/api/v1beta1"

type Limits struct {
	PartitionPercent   int
	FilterWorkloadType bool
	Supports           func(group, kind string, style v1beta1.RollingStyleType) bool
	Traffic            bool
}
