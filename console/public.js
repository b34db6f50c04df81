// Open data for everybody: shows /public/oversight.json.

const TEXTS = {
  en: {
    other: '中文',
    title: 'how the city responds',
    total: 'IN 52 WEEKS',
    byService: 'BY SERVICE',
    byDistrict: 'BY DISTRICT',
    byWeek: 'BY WEEK',
    service: 'Service',
    department: 'Department',
    district: 'District',
    week: 'Week',
    opened: 'Opened',
    open: 'Open now',
    overdue: 'Overdue now',
    resolved: 'Resolved',
    late: 'Resolved late',
    reopened: 'Reopened',
    acknowledge: 'Response time',
    resolve: 'Resolution time',
    ratings: 'Rating',
    city: 'Whole city',
    none: 'There are no tickets yet.',
    failed: 'The data cannot be loaded now.',
    about: 'Times: median / 90th percentile, nights and holidays included. No personal data.',
    licence: 'Licence',
    asOf: 'as of',
    units: ['s', 'min', 'h', 'd'],
  },
  zh: {
    other: 'English',
    title: '城市服务公开数据',
    total: '近 52 周',
    byService: '按服务',
    byDistrict: '按城区',
    byWeek: '按周',
    service: '服务',
    department: '部门',
    district: '城区',
    week: '周',
    opened: '新建',
    open: '当前未结',
    overdue: '当前超期',
    resolved: '已解决',
    late: '超期解决',
    reopened: '重新打开',
    acknowledge: '响应用时',
    resolve: '解决用时',
    ratings: '评分',
    city: '全市',
    none: '尚无工单。',
    failed: '暂时无法读取数据。',
    about: '用时：半数 / 九成工单不超过的实际时间，含夜间与节假日。不含个人数据。',
    licence: '许可',
    asOf: '截至',
    units: ['秒', '分钟', '小时', '天'],
  },
};
const TIMES = ['acknowledge', 'resolve'];
const COUNTS = ['opened', 'open', 'overdue', 'resolved', 'late', 'reopened'];

const data = await fetch('/public/oversight.json').then((response) => (response.ok ? response.json() : null));
let language = localStorage.getItem('language') ?? (navigator.language.startsWith('zh') ? 'zh' : 'en');
const say = (name) => TEXTS[language][name];

function make(tag, ...children) {
  const node = document.createElement(tag);
  node.append(...children);
  return node;
}

/** Seconds in the largest unit with a value of at least 1; with a decimal below 10. */
function duration(seconds) {
  if (seconds === null) return '–';
  const sizes = [1, 60, 3_600, 86_400];
  const n = sizes.findLastIndex((size, i) => i === 0 || seconds >= size);
  const value = seconds / sizes[n];
  return `${value < 10 && n > 0 ? Math.round(value * 10) / 10 : Math.round(value)} ${say('units')[n]}`;
}

const durations = ({ medianSeconds, p90Seconds }) =>
  medianSeconds === null ? '–' : `${duration(medianSeconds)} / ${duration(p90Seconds)}`;
const rating = ({ count, mean }) => (count === 0 ? '–' : `${mean} ★ (${count})`);

function row(names, line, most) {
  const bar = make('meter');
  bar.max = Math.max(1, most);
  bar.value = line.opened;
  const counts = COUNTS.map((key) => {
    const cell = make('td', String(line[key]));
    if (key === 'overdue' && line[key] > 0) cell.className = 'overdue';
    return cell;
  });
  const values = [durations(line.acknowledge), durations(line.resolve), rating(line.ratings)];
  return make(
    'tr',
    ...names.map((name) => make('td', name)),
    make('td', bar),
    ...counts,
    ...values.map((one) => make('td', one)),
  );
}

/** A table with one row per line. */
function section(title, heads, lines, namesOf) {
  const most = Math.max(...lines.map(({ opened }) => opened));
  const columns = [...heads.map(say), '', ...COUNTS.map(say)];
  const head = make('tr', ...[...columns, ...TIMES.map(say), say('ratings')].map((text) => make('th', text)));
  const body = make('tbody', ...lines.map((line) => row(namesOf(line), line, most)));
  const scroll = make('div', make('table', make('thead', head), body));
  scroll.className = 'scroll';
  const wide = make('section', make('h2', say(title)), scroll);
  wide.className = 'wide';
  return wide;
}

function link(href, text) {
  const node = make('a', text);
  node.href = href;
  return node;
}

function footer({ licence, generatedAt }) {
  const asOf = new Date(generatedAt).toLocaleString(language === 'zh' ? 'zh-CN' : 'en-GB');
  const links = [
    link('/public/oversight.json', 'oversight.json'),
    ' · ',
    link('/public/tickets.geojson', 'tickets.geojson'),
  ];
  const about = make('section', say('about'), ` ${say('licence')}: ${licence}, ${say('asOf')} ${asOf}. `, ...links);
  about.className = 'wide';
  return about;
}

function sections() {
  if (data === null) return [make('section', say('failed'))];
  if (data.total === null) return [make('section', say('none')), footer(data)];
  const nameOf = (kind, id) => data[kind][id]?.[language] ?? id;
  return [
    section('total', ['city'], [data.total], () => [data.city[language]]),
    section('byService', ['service', 'department'], data.byService, ({ service, department }) => [
      nameOf('services', service),
      nameOf('departments', department),
    ]),
    section('byDistrict', ['district'], data.byDistrict, ({ district }) => [
      district === '' ? say('city') : nameOf('districts', district),
    ]),
    section('byWeek', ['week'], data.byWeek, ({ week }) => [week]),
    footer(data),
  ];
}

function show() {
  document.documentElement.lang = language;
  document.title = `${data?.city[language] ?? ''} ${say('title')}`.trim();
  document.getElementById('title').replaceChildren(data?.city[language] ?? '', ' ', make('span', say('title')));
  document.getElementById('language').textContent = say('other');
  document.getElementById('data').replaceChildren(...sections());
}

document.getElementById('language').addEventListener('click', () => {
  language = language === 'en' ? 'zh' : 'en';
  localStorage.setItem('language', language);
  show();
});
show();
