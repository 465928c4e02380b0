// SPDX-License-Identifier: Apache-2.0

package view

import (
	"regexp"
	"strings"

	rolloutsv1beta1 "kruise.io/rollouts/api/v1beta1"
)

// Advice is what a blocker means, in English and in Chinese, and what helps.
type Advice struct {
	Code    rolloutsv1beta1.BlockerCode
	English string
	Chinese string
	// Commands show more, or help. {namespace}, {rollout}, {workload} (kind/name), {kind} and {name} stand for those of the blocker.
	Commands []string
}

// Commands that several codes have in common.
const (
	describePod = "kubectl describe pod {name} -n {namespace}"
	describeIt  = "kubectl describe {kind} {name} -n {namespace}"
	getIt       = "kubectl get {kind} {name} -n {namespace}"
	approveIt   = "kubectl kruise rollout approve rollout/{rollout} -n {namespace}"
	abortIt     = "kubectl kruise rollout abort rollout/{rollout} -n {namespace}"
	resumeIt    = "kubectl kruise rollout resume rollout/{rollout} -n {namespace}"
	undoIt      = "kubectl kruise rollout undo rollout/{rollout} -n {namespace}"
	describeAll = "kubectl kruise rollout describe rollout/{rollout} -n {namespace}"
	slicesOf    = "kubectl get endpointslices -l kubernetes.io/service-name={name} -n {namespace}"
)

// Advices are what is known of blockers, one for each code, in the order of docs/troubleshooting.md.
var Advices = []Advice{
	{rolloutsv1beta1.BlockerApproval, "The step is done, and waits for a person. Approve it, or go back.", "本步骤已完成，等待人工确认：确认后继续，或者回滚。", []string{approveIt, undoIt}},
	{rolloutsv1beta1.BlockerTimer, "The step is done, and its pause has not passed yet. The release goes on by itself; approving it goes on now.", "本步骤已完成，暂停时间未到；到时会自动继续，也可以立即确认。", []string{approveIt}},
	{rolloutsv1beta1.BlockerPaused, "Somebody paused the Rollout (spec.strategy.paused). Nothing moves until it is resumed.", "发布已被人工暂停（spec.strategy.paused），恢复之前不会有任何变化。", []string{resumeIt}},
	{rolloutsv1beta1.BlockerAborted, "The release was aborted: traffic and pods are at the stable version, and the changed pod template is held. Change the template back, or to a version that is better; resume to try the same one again.", "发布已中止：流量和 Pod 都在稳定版本上，修改过的 Pod 模板被保留但不生效。请改回模板或改为修复后的版本；恢复（resume）会重新发布同一版本。", []string{undoIt, resumeIt}},
	{rolloutsv1beta1.BlockerDeadlineExceeded, "The step takes longer than spec.progressDeadlineSeconds. What it waits for is named beside this.", "本步骤超过了 spec.progressDeadlineSeconds；它所等待的内容在其他条目中。", []string{describeAll, abortIt}},

	{rolloutsv1beta1.BlockerPodsPending, "Pods are on their way. If nothing else is named, this takes as long as pods need to start, or to end.", "正在等待 Pod：若没有其他条目，等待的只是 Pod 启动或退出。", []string{describeAll}},
	{rolloutsv1beta1.BlockerImagePull, "The image of a container cannot be pulled: its name or tag is wrong, the registry cannot be reached, or it needs a pull Secret.", "容器镜像无法拉取：镜像名或标签错误、仓库不可达，或缺少拉取凭证（imagePullSecrets）。", []string{describePod, undoIt}},
	{rolloutsv1beta1.BlockerCrashLoop, "A container of the new version ends again and again. Its last log lines say why.", "新版本的容器反复退出；上一次运行的日志会说明原因。", []string{"kubectl logs {name} --previous -n {namespace}", undoIt}},
	{rolloutsv1beta1.BlockerConfigError, "A container cannot be created, mostly because a ConfigMap, a Secret or a key of it does not exist.", "容器无法创建，通常是因为引用的 ConfigMap、Secret 或其中的键不存在。", []string{describePod}},
	{rolloutsv1beta1.BlockerUnschedulable, "No node fits the pod: too little CPU or memory is free, or selectors, affinity or taints exclude all nodes.", "没有节点能容纳该 Pod：资源不足，或被选择器、亲和性、污点排除。", []string{describePod, "kubectl get nodes"}},
	{rolloutsv1beta1.BlockerVolumePending, "The pod waits for a PersistentVolumeClaim to be bound.", "Pod 在等待 PersistentVolumeClaim 绑定。", []string{"kubectl get pvc -n {namespace}", describePod}},
	{rolloutsv1beta1.BlockerContainerCreating, "The containers of the pod are not started: volumes are being mounted, an init container runs, or the node is slow.", "容器尚未启动：正在挂载卷、运行 init 容器，或节点缓慢。", []string{describePod}},
	{rolloutsv1beta1.BlockerNotReady, "The pod runs and does not become ready: its readiness probe fails, or a readiness gate is not true.", "Pod 在运行但未就绪：就绪探针失败，或 readinessGate 未满足。", []string{describePod, "kubectl logs {name} -n {namespace}"}},
	{rolloutsv1beta1.BlockerQuotaExceeded, "A ResourceQuota of the namespace has no room for the pods of the step. Raise it, or make the workload smaller.", "命名空间的 ResourceQuota 不足以创建本步骤的 Pod；请提高配额，或缩小工作负载。", []string{"kubectl describe quota -n {namespace}", describeIt}},
	{rolloutsv1beta1.BlockerPodsRefused, "The API server refuses pods of the workload: an admission webhook or policy, Pod Security, or a ServiceAccount that does not exist.", "API Server 拒绝创建 Pod：准入 Webhook 或策略、Pod 安全标准，或 ServiceAccount 不存在。", []string{describeIt}},
	{rolloutsv1beta1.BlockerPodsExcess, "More pods have the new version than the step asks for, because the workload was scaled. The others are rolled back, where its own controller allows that.", "由于扩缩容，新版本的 Pod 多于本步骤的要求；在其控制器允许时会回滚多余的部分。", []string{describeAll}},
	{rolloutsv1beta1.BlockerScaledToZero, "The workload is scaled to 0, so that nothing shows whether the new version works. Scale it up.", "工作负载被缩容到 0，无法验证新版本；请扩容。", []string{"kubectl scale {workload} --replicas=1 -n {namespace}"}},
	{rolloutsv1beta1.BlockerSurgeLimit, "The workload's own controller creates no more updated pods while the others stand. Scale it as the message says.", "在旧 Pod 存在时，工作负载自己的控制器不再创建新版本 Pod；请按提示扩缩容。", []string{describeAll}},

	{rolloutsv1beta1.BlockerWorkloadMissing, "The workload that the Rollout names does not exist in its namespace. Create it, or correct spec.workloadRef.", "Rollout 引用的工作负载不存在；请创建它，或修正 spec.workloadRef。", []string{getIt}},
	{rolloutsv1beta1.BlockerKindNotServed, "The cluster does not have the workload's kind: its CRDs are not installed, or not in that version.", "集群中没有该工作负载类型：CRD 未安装，或版本不符。", []string{"kubectl api-resources | grep -w {kind}"}},
	{rolloutsv1beta1.BlockerKindUnsupported, "This version does not release this kind of workload in this style.", "当前版本不支持以该方式发布此类工作负载。", []string{"kubectl get rollout {rollout} -n {namespace} -o yaml"}},
	{rolloutsv1beta1.BlockerWorkloadNotObserved, "The workload's own controller has not observed its latest spec: it is slow, or does not run.", "工作负载自己的控制器尚未处理其最新的 spec：控制器缓慢，或没有运行。", []string{getIt + " -o yaml"}},
	{rolloutsv1beta1.BlockerFirstPods, "The workload has not created its first pods.", "工作负载尚未创建第一批 Pod。", []string{describeIt}},
	{rolloutsv1beta1.BlockerAdmissionNotReached, "The admission webhook does not see changes of the workload, so that a change would not be held. Check the webhook configuration, its certificate, and that the API server reaches the manager.", "准入 Webhook 收不到工作负载的变更，变更将无法被拦截；请检查 Webhook 配置、证书以及 API Server 到控制器的网络。", []string{"kubectl get mutatingwebhookconfigurations", "kubectl get pods -n kruise-rollout"}},
	{rolloutsv1beta1.BlockerRolloutConflict, "Another Rollout manages the workload, and a workload has one. Delete one of the two, or change its workloadRef.", "该工作负载已由另一个 Rollout 管理；请删除其一，或修改 workloadRef。", []string{getIt}},
	{rolloutsv1beta1.BlockerBatchReleaseNameTaken, "A BatchRelease of the Rollout's name is not the Rollout's. Delete it, or rename the Rollout.", "同名的 BatchRelease 不属于该 Rollout；请删除它，或重命名 Rollout。", []string{getIt + " -o yaml"}},
	{rolloutsv1beta1.BlockerBatchReleaseEnding, "The BatchRelease of an earlier release is being deleted. If that lasts, a finalizer of somebody else keeps it.", "上一次发布的 BatchRelease 正在删除；若长时间不结束，可能被他人的 finalizer 阻塞。", []string{getIt + " -o yaml"}},
	{rolloutsv1beta1.BlockerClaimedElsewhere, "Another BatchRelease or Rollout releases the workload. This one goes on when that has ended, or is deleted.", "另一个 BatchRelease 或 Rollout 正在发布该工作负载；待其结束或被删除后继续。", []string{describeIt}},
	{rolloutsv1beta1.BlockerTemplateChanged, "The pod template is not the one that this BatchRelease was made for, which updates no more pods.", "Pod 模板已不是该 BatchRelease 创建时的模板，它不会再更新 Pod。", []string{describeIt}},
	{rolloutsv1beta1.BlockerNoSteps, "The strategy has no steps. Add at least one.", "发布策略没有步骤；请至少添加一个。", []string{"kubectl edit rollout {rollout} -n {namespace}"}},
	{rolloutsv1beta1.BlockerWriteRefused, "The API server refuses what the controller writes: an admission webhook, a policy, a quota or missing rights. It is tried again by itself.", "API Server 拒绝了控制器的写入：准入 Webhook、策略、配额或权限不足；会自动重试。", []string{describeIt}},
	{rolloutsv1beta1.BlockerWriteReverted, "Somebody reverts what the controller writes, every time: mostly a GitOps tool or another controller. Exclude that field from it.", "控制器的写入每次都被还原，通常是 GitOps 工具或其他控制器；请将该字段排除。", []string{"kubectl get {kind} {name} -n {namespace} -o yaml --show-managed-fields"}},

	{rolloutsv1beta1.BlockerServiceMissing, "The Service that trafficRoutings names does not exist. Create it, or correct the name.", "trafficRoutings 引用的 Service 不存在；请创建，或修正名称。", []string{getIt}},
	{rolloutsv1beta1.BlockerServiceUnusable, "The Service cannot be divided between versions: it has no selector, or is of type ExternalName.", "该 Service 无法按版本拆分：没有 selector，或类型为 ExternalName。", []string{getIt + " -o yaml"}},
	{rolloutsv1beta1.BlockerServiceShared, "The Service selects pods of other workloads, too, or alone: they would receive no traffic. Give the workload a Service of its own.", "该 Service 还选中了其他工作负载的 Pod，它们将收不到流量；请为该工作负载单独创建 Service。", []string{getIt + " -o yaml", slicesOf}},
	{rolloutsv1beta1.BlockerCanaryNameTaken, "The name of the canary Service or Ingress is somebody else's. Rename that object, or wait for the other release to end.", "金丝雀 Service 或 Ingress 的名称已被占用；请重命名该对象，或等待另一个发布结束。", []string{getIt + " -o yaml"}},
	{rolloutsv1beta1.BlockerEndpointsPending, "EndpointSlices do not show yet which pods the Service selects.", "EndpointSlice 尚未反映该 Service 选中的 Pod。", []string{slicesOf}},
	{rolloutsv1beta1.BlockerNoReadyEndpoint, "No ready pod is behind the Service: its selector does not match the pods, they are not ready, or they lack its port.", "该 Service 背后没有就绪的 Pod：selector 不匹配、Pod 未就绪，或缺少对应端口。", []string{slicesOf, describeIt}},
	{rolloutsv1beta1.BlockerRouteMissing, "The route that trafficRoutings names does not exist. Create it, or correct the name.", "trafficRoutings 引用的路由对象不存在；请创建，或修正名称。", []string{getIt}},
	{rolloutsv1beta1.BlockerRouteUnsupported, "The route cannot be changed as the step asks: it does not lead to the Service, or the gateway cannot do that. The message says which.", "路由无法按本步骤修改：它没有指向该 Service，或网关不支持；具体见消息。", []string{getIt + " -o yaml"}},
	{rolloutsv1beta1.BlockerRouteKindNotServed, "The cluster does not have the route's kind: its CRDs are not installed.", "集群中没有该路由类型：CRD 未安装。", []string{"kubectl api-resources | grep -w {kind}"}},
	{rolloutsv1beta1.BlockerScriptFailed, "The Lua script of the route's kind is missing, or fails. Try it without a cluster.", "该路由类型的 Lua 脚本缺失或执行失败；可以离线调试。", []string{"kubectl kruise rollout lua-test --help", "kubectl get configmap kruise-rollout-configuration -n kruise-rollout -o yaml"}},
	{rolloutsv1beta1.BlockerRouteRefused, "The gateway refuses the route, and says why in the route's status.", "网关拒绝了该路由，原因见路由的 status。", []string{describeIt}},
	{rolloutsv1beta1.BlockerRoutePending, "No gateway has accepted the route yet. After 30 seconds the release goes on without an answer.", "尚无网关接受该路由；30 秒后不再等待。", []string{describeIt}},
	{rolloutsv1beta1.BlockerRouteConflict, "A tool changes the route or Service back again and again. Exclude the object from it: the release retries every minute.", "某个工具反复改回路由或 Service；请将该对象排除，发布每分钟重试一次。", []string{"kubectl get {kind} {name} -n {namespace} -o yaml --show-managed-fields"}},
	{rolloutsv1beta1.BlockerGatewaySettling, "Gateways get the time to apply a change (gracePeriodSeconds). It goes on by itself.", "等待网关应用变更（gracePeriodSeconds）；会自动继续。", []string{getIt}},
	{rolloutsv1beta1.BlockerTrafficRoutingMissing, "The TrafficRouting that the Rollout names does not exist. Create it, or remove the reference.", "Rollout 引用的 TrafficRouting 不存在；请创建，或移除引用。", []string{"kubectl get trafficrouting -n {namespace}"}},
	{rolloutsv1beta1.BlockerTrafficRoutingPending, "The TrafficRouting has not updated its routes yet. Its own message says what it waits for.", "TrafficRouting 尚未更新路由；其消息会说明原因。", []string{describeIt}},

	{rolloutsv1beta1.BlockerAnalysisRunning, "The metrics of the step are being measured. It goes on by itself when they are good.", "正在测量本步骤的指标；结果良好时自动继续。", []string{describeAll, approveIt + " --skip-analysis"}},
	{rolloutsv1beta1.BlockerAnalysisFailed, "Metrics, or the pods, speak against the new version. Abort the release, or approve the step to go on all the same.", "指标或 Pod 表明新版本有问题；请中止发布，或确认后强制继续。", []string{abortIt, approveIt}},
	{rolloutsv1beta1.BlockerAnalysisInconclusive, "The metrics speak neither for nor against the new version. It goes on by itself when they are good.", "指标无法得出结论；结果良好时自动继续。", []string{describeAll, approveIt}},
	{rolloutsv1beta1.BlockerNoData, "The provider has no value of a metric: the query matches nothing, or nobody calls the new version.", "指标没有数据：查询没有匹配，或新版本没有流量。", []string{describeAll, approveIt}},
	{rolloutsv1beta1.BlockerTooFewRequests, "The versions had too few requests to compare them. Send more traffic, lower minRequests, or approve the step.", "请求数太少，无法比较版本；请增加流量、降低 minRequests，或人工确认。", []string{describeAll, approveIt}},
	{rolloutsv1beta1.BlockerProviderError, "A metric cannot be measured: its provider does not answer, refuses, or the template is wrong. It is asked again by itself.", "指标无法测量：数据源不可达、拒绝访问，或模板有误；会自动重试。", []string{describeAll, "kubectl get analysistemplates -n {namespace}"}},

	{rolloutsv1beta1.BlockerWebhookPending, "A webhook is asked whether the step may begin, or be left, and has not decided. It is asked again by itself.", "正在询问步骤的 webhook，尚无结论；会自动重试。", []string{describeAll}},
	{rolloutsv1beta1.BlockerWebhookRefused, "A webhook refuses the step. The message says whether it is asked again, so that the release goes on once it allows the step; or approve the step in its place, or change the pod template.", "webhook 拒绝了本步骤；消息会说明是否再次询问，放行后自动继续；也可以人工确认，或修改 Pod 模板。", []string{describeAll, approveIt}},
	{rolloutsv1beta1.BlockerWebhookFailed, "A webhook cannot be asked, or said \"not yet\" for too long. Mend it, and the release goes on by itself; or approve the step in its place.", "无法询问 webhook，或它一直没有结论；修复后自动继续，也可以人工确认。", []string{describeAll, approveIt}},

	{rolloutsv1beta1.BlockerWorking, "The controller is at work, and waits for nobody. If this lasts, look at the manager.", "控制器正在工作，没有等待任何人；若长时间如此，请检查控制器。", []string{"kubectl logs deployment/kruise-rollout-controller-manager -n kruise-rollout --tail=50"}},
}

// AdviceOf is what is known of a code; a newer version may have others, of which nothing is known.
func AdviceOf(code rolloutsv1beta1.BlockerCode) Advice {
	for _, a := range Advices {
		if a.Code == code {
			return a
		}
	}
	return Advice{Code: code}
}

// names are what Kubernetes takes for names of objects and kinds: nothing that a shell reads as anything else.
var names = regexp.MustCompile(`^[A-Za-z0-9./-]+$`)

// typed is a name in a command that people copy; one that is none of Kubernetes' is left for them to fill in.
func typed(name string) string {
	if names.MatchString(name) {
		return name
	}
	return "NAME"
}

// commands are those of the advice for one blocker.
func (a Advice) commands(r Rollout, object rolloutsv1beta1.BlockerObject) []string {
	filled := strings.NewReplacer("{namespace}", typed(r.Namespace), "{rollout}", typed(r.Name), "{workload}", typed(strings.ToLower(r.Workload)),
		"{kind}", typed(strings.ToLower(object.Kind)), "{name}", typed(object.Name))
	all := make([]string, len(a.Commands))
	for i, c := range a.Commands {
		all[i] = filled.Replace(c)
	}
	return all
}
